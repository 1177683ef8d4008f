//! The functions of VRL that a program may call: those that give the same result on every machine and at any time.

use vrl::compiler::Function;

/// What may be called, by name. A new version of VRL adds nothing by itself.
#[rustfmt::skip]
const ALLOWED: &[&str] = &[
    "abs", "append", "array", "assert", "assert_eq", "basename", "bool", "camelcase", "ceil", "chunks", "community_id",
    "compact", "contains", "contains_all", "decode_base16", "decode_base64", "decode_charset", "decode_gzip", "decode_lz4",
    "decode_mime_q", "decode_percent", "decode_punycode", "decode_snappy", "decode_zlib", "decode_zstd", "del", "dirname",
    "downcase", "encode_base16", "encode_base64", "encode_charset", "encode_csv", "encode_gzip", "encode_json",
    "encode_key_value", "encode_logfmt", "encode_lz4", "encode_percent", "encode_punycode", "encode_snappy", "encode_zlib",
    "encode_zstd", "ends_with", "exists", "filter", "find", "flatten", "float", "floor", "for_each", "format_int",
    "format_number", "format_timestamp", "from_entries", "from_unix_timestamp", "get", "haversine", "includes", "int",
    "ip_aton", "ip_cidr_contains", "ip_ntoa", "ip_ntop", "ip_pton", "ip_subnet", "ip_to_ipv6", "ipv6_to_ipv4", "is_array",
    "is_boolean", "is_empty", "is_float", "is_integer", "is_ipv4", "is_ipv6", "is_json", "is_null", "is_nullish",
    "is_object", "is_regex", "is_string", "is_timestamp", "join", "kebabcase", "keys", "length", "map_keys", "map_values",
    "match", "match_any", "match_array", "merge", "mod", "object", "object_from_array", "parse_apache_log",
    "parse_aws_alb_log", "parse_aws_cloudwatch_log_subscription_message", "parse_aws_vpc_flow_log", "parse_bytes",
    "parse_cbor", "parse_cef", "parse_common_log", "parse_csv", "parse_duration", "parse_float", "parse_glog", "parse_influxdb", "parse_int", "parse_json",
    "parse_key_value", "parse_logfmt", "parse_nginx_log", "parse_query_string", "parse_regex", "parse_regex_all",
    "parse_ruby_hash", "parse_timestamp", "parse_tokens", "parse_url", "parse_user_agent", "parse_xml", "parse_yaml",
    "pascalcase", "pop", "push", "range", "remove", "replace", "replace_with", "round", "screamingsnakecase", "set",
    "shannon_entropy", "sieve", "slice", "snakecase", "split", "split_path", "starts_with", "string",
    "strip_ansi_escape_codes", "strip_whitespace", "strlen", "tag_types_externally", "tally", "tally_value", "timestamp",
    "to_bool", "to_entries", "to_float", "to_int", "to_string", "to_syslog_facility", "to_syslog_facility_code",
    "to_syslog_level", "to_syslog_severity", "to_unix_timestamp", "truncate", "type_def", "unflatten", "unique", "unnest",
    "upcase", "uuid_from_friendly_id", "values", "zip",
];

const CLOCK: &str = "it looks at the clock, and an event that is read again would become another one";
const CHANCE: &str = "it leaves its result to chance, and an event that is read again would become another one";
const MACHINE: &str = "its result depends on the machine it runs on";
const NETWORK: &str = "it asks the network, which a transform must not wait for";
const BACKTRACKING: &str = "its patterns may take time without bound on a text made for it";
const NOT_BUILT_IN: &str = "it is not built in";

#[rustfmt::skip]
const FORBIDDEN: &[(&str, &[&str])] = &[
    (CLOCK, &["now", "parse_syslog", "parse_linux_authorization", "parse_klog", "uuid_v7"]),
    (CHANCE, &["random_bool", "random_bytes", "random_float", "random_int", "uuid_v4"]),
    (MACHINE, &["get_env_var", "get_hostname", "get_timezone_name", "parse_etld", "parse_proto", "encode_proto",
        "validate_json_schema"]),
    (NETWORK, &["dns_lookup", "http_request", "reverse_dns"]),
    (BACKTRACKING, &["parse_grok", "parse_groks"]),
    ("what it writes to our log would be of the event", &["log"]),
    ("it compiles a pattern anew for every event; write it as `r'…'`", &["to_regex"]),
    ("`redact` is a step of its own, which finds addresses wherever they are", &["redact"]),
    ("`filter` and `route` are steps of their own", &["match_datadog_query"]),
    (NOT_BUILT_IN, &["crc", "decrypt", "decrypt_ip", "encrypt", "encrypt_ip", "hmac", "md5", "seahash", "sha1", "sha2",
        "sha3", "xxhash"]),
];

/// The functions themselves.
pub fn allowed() -> Vec<Box<dyn Function>> {
    vrl::stdlib::all().into_iter().filter(|function| ALLOWED.contains(&function.identifier())).collect()
}

/// Why a function that VRL has is not there. `None` for one that VRL does not have either.
pub fn why_not(name: &str) -> Option<&'static str> {
    FORBIDDEN.iter().find(|(_, names)| names.contains(&name)).map(|(reason, _)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_vrl_is_allowed_or_forbidden() {
        for function in vrl::stdlib::all() {
            let name = function.identifier();
            assert!(ALLOWED.contains(&name) != why_not(name).is_some(), "`{name}` has to stand in one of the lists");
        }
    }

    #[test]
    fn every_name_that_is_allowed_is_a_function() {
        assert_eq!(allowed().len(), ALLOWED.len());
    }
}
