#!/usr/bin/env python3
"""Writes places.mmdb and systems.mmdb beside itself: small databases in MaxMind's format, of invented facts about the
addresses that are reserved for documentation. Needs `pip install mmdb_writer`. Nothing of MaxMind's data is in them."""

from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet


def place(continent, code, country=None, name=None, city=None, region=None, postal=None, at=None, zone=None):
    record = {"continent": {"code": code, "names": {"en": continent}}}
    if country:
        record["country"] = {"iso_code": country, "names": {"en": name}}
    if region:
        record["subdivisions"] = [{"iso_code": region[0], "names": {"en": region[1]}}]
    if city:
        record["city"] = {"names": {"en": city}}
    if postal:
        record["postal"] = {"code": postal}
    if at:
        record["location"] = {"latitude": at[0], "longitude": at[1], "time_zone": zone}
    return record


PLACES = {
    "198.51.100.0/24": place(
        "Europe", "EU", "CH", "Switzerland", "Lausanne", ("VD", "Vaud"), "1003", (46.5, 6.625), "Europe/Zurich"
    ),
    "203.0.113.0/24": place("North America", "NA", "CA", "Canada"),
    "2001:db8::/48": place("Oceania", "OC", "NZ", "New Zealand", "Wellington", ("WGN", "Wellington")),
    "2001:db8:1::/48": place("Asia", "AS"),
}
SYSTEMS = {
    "198.51.100.0/24": {"autonomous_system_number": 64501, "autonomous_system_organization": "Example Networks"},
    "203.0.113.0/24": {"autonomous_system_number": 64502, "autonomous_system_organization": "Example Hosting"},
    "2001:db8::/48": {"autonomous_system_number": 64503},
}

for name, kind, records in [("places", "Example-City", PLACES), ("systems", "Example-ASN", SYSTEMS)]:
    writer = MMDBWriter(
        ip_version=6,
        ipv4_compatible=True,
        database_type=kind,
        languages=["en"],
        description="Invented, to try with",
        int_type="u32",
    )
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(Path(__file__).parent / f"{name}.mmdb"))
