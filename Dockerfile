# Builds from sources and keeps the binary, certificates and OpenSSL only.
# Runs as user 10001 with a read-only root; what it must remember goes to /var/lib/auditline.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
RUN cargo build --release --locked --bin auditline

FROM debian:bookworm-slim
# libssl3: what librdkafka speaks TLS with. The folder's owner is what a fresh volume is given.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/auditline
COPY --from=build /build/target/release/auditline /usr/local/bin/auditline

# A number, since Kubernetes' `runAsNonRoot` cannot look a name up.
USER 10001:10001
VOLUME /var/lib/auditline
ENTRYPOINT ["auditline"]
CMD ["run", "--config", "/etc/auditline"]
