# Apache Kafka, one KRaft node, from Maven. What librdkafka's mock cannot show: transactions, fencing, SASL, TLS.

kafka_version=4.1.1
# The clients are small and the tests short: a plain collector and the quick compiler start in half the time.
kafka_java=(java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$kafka_jars/*")

kafka_prepare() {
    command -v java >/dev/null || give_up "no java"
    [ -e "$kafka_jars/complete" ] || kafka_download
    [ -e "$tls/server-bundle.pem" ] || give_up "no certificates"
}

kafka_download() {
    command -v mvn >/dev/null || give_up "no maven to download it with"
    rm -rf "$kafka_jars"
    mvn -B -q -C -f "$here/kafka/pom.xml" -Dkafka.version=$kafka_version -Dmaven.repo.local="$work/m2" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$kafka_jars" || give_up "maven could not download it"
    touch "$kafka_jars/complete"
    # Maven's own copies: only ever needed for this one step.
    rm -rf "$work/m2"
}

kafka_start() {
    mkdir -p "$run/kafka"
    free_port; kafka_plain=$free
    free_port; kafka_sasl_tls=$free
    free_port; kafka_sasl=$free
    free_port; kafka_mutual_tls=$free
    free_port; kafka_controller=$free
    fill "$here/kafka/server.properties" PLAIN="$kafka_plain" SASL_TLS="$kafka_sasl_tls" \
        SASL="$kafka_sasl" MUTUAL_TLS="$kafka_mutual_tls" CONTROLLER="$kafka_controller" DATA="$run/kafka/data" \
        KEYSTORE="$tls/server-bundle.pem" TRUSTSTORE="$tls/ca.pem" \
        >"$run/kafka/server.properties"
    kafka_java+=("-Dlog4j2.configurationFile=$here/kafka/log4j2.properties")
    daemon bash -c '
        config=$1 && shift
        "$@" kafka.tools.StorageTool format --cluster-id auditlineAuditline0000 --config "$config" \
            --add-scram "SCRAM-SHA-256=[name=auditline,password=opens-nothing]" &&
            exec "$@" kafka.Kafka "$config"
    ' kafka "$run/kafka/server.properties" "${kafka_java[@]}"
}

# A program that starts a broker of the test's own, to be killed and started again: kafka-own FOLDER PORT CONTROLLER, and
# for one of several brokers its number and how many there are.
kafka_own() {
    fill "$here/kafka/own.properties" >"$run/kafka-own.properties" PLAIN=__PORT__ CONTROLLER=__CONTROLLER__ \
        DATA=__FOLDER__ NODE=__NODE__ NODES=__NODES__ ROLES=__ROLES__ LISTENERS=__LISTENERS__
    {
        echo '#!/bin/bash'
        echo 'set -e'
        echo '# The JVM dies with the test, even when that is killed with -9.'
        printf 'java=(setpriv --pdeathsig KILL -- '
        printf '%q ' "${kafka_java[@]}"
        printf ')\ntemplate=%q\n' "$run/kafka-own.properties"
        cat <<'PROGRAM'
mkdir -p "$1"
roles=broker listeners=PLAINTEXT://127.0.0.1:$2
if [ "${4:-1}" = 1 ]; then
    roles+=,controller listeners+=,CONTROLLER://127.0.0.1:$3
fi
sed "s|__FOLDER__|$1/data|; s|__PORT__|$2|g; s|__CONTROLLER__|$3|g; s|__NODE__|${4:-1}|; s|__NODES__|${5:-1}|
    s|__ROLES__|$roles|; s|__LISTENERS__|$listeners|" "$template" >"$1/server.properties"
if [ ! -e "$1/data" ]; then
    "${java[@]}" kafka.tools.StorageTool format --cluster-id auditlineAuditline0000 --config "$1/server.properties"
fi
exec "${java[@]}" kafka.Kafka "$1/server.properties"
PROGRAM
    } >"$run/kafka-own"
    chmod +x "$run/kafka-own"
}

kafka_ready() {
    grep -q "Kafka Server started" "$run/kafka.log" && answers "$kafka_plain" && answers "$kafka_sasl_tls" &&
        answers "$kafka_sasl" && answers "$kafka_mutual_tls"
}

kafka_export() {
    export AUDITLINE_TEST_KAFKA=127.0.0.1:$kafka_plain
    export AUDITLINE_TEST_KAFKA_SASL_TLS=127.0.0.1:$kafka_sasl_tls
    export AUDITLINE_TEST_KAFKA_SASL=127.0.0.1:$kafka_sasl
    export AUDITLINE_TEST_KAFKA_MUTUAL_TLS=127.0.0.1:$kafka_mutual_tls
    export AUDITLINE_TEST_KAFKA_CA=$tls/ca.pem
    kafka_own
    export AUDITLINE_TEST_KAFKA_OWN=$run/kafka-own
}

kafka_describe() {
    echo "kafka $kafka_version listening on $AUDITLINE_TEST_KAFKA, with SASL and TLS on $AUDITLINE_TEST_KAFKA_SASL_TLS"
}
