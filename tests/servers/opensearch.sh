# OpenSearch, one node, from Maven: the distribution its own plugins are tested with, which is the server without plugins.
# So it knows no users and no TLS.

# The last line that runs on Java 17, which Debian 12 has.
opensearch_version=2.19.3

opensearch_prepare() {
    command -v java >/dev/null || give_up "no java"
    [ -e "$opensearch_home/complete" ] || opensearch_download
}

opensearch_download() {
    command -v mvn >/dev/null || give_up "no maven to download it with"
    rm -rf "$opensearch_home"
    # A repository of its own, for Kafka's is removed while we may still be at it.
    mvn -B -q -C -f "$here/opensearch/pom.xml" -Dopensearch.version=$opensearch_version \
        -Dmaven.repo.local="$work/m2-opensearch" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$opensearch_home" || give_up "maven could not download it"
    python3 -m zipfile -e "$opensearch_home/opensearch-$opensearch_version.zip" "$opensearch_home" ||
        give_up "its zip could not be unpacked"
    rm -f "$opensearch_home"/*.zip
    rm -rf "$work/m2-opensearch"
    touch "$opensearch_home/complete"
}

opensearch_start() {
    local dir=$run/opensearch home=$opensearch_home/opensearch-$opensearch_version
    mkdir -p "$dir/config" "$dir/tmp"
    free_port; opensearch_http=$free
    free_port; opensearch_transport=$free
    fill "$here/opensearch/opensearch.yml" HTTP="$opensearch_http" TRANSPORT="$opensearch_transport" DIR="$dir" \
        >"$dir/config/opensearch.yml"
    cp "$here/opensearch/log4j2.properties" "$dir/config/"
    # The options its own script would give it, but for a small heap, a plain collector and the quick compiler. By JNA it
    # finds out that it runs as root, and refuses; without JNA's library it cannot know, and needs it for nothing here.
    daemon java -Xms512m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.io.tmpdir="$dir/tmp" \
        -Djna.nosys=true -Djna.noclasspath=true -Djna.nounpack=true \
        -Djava.security.manager=allow -Dlog4j2.formatMsgNoLookups=true \
        -Djava.util.concurrent.ForkJoinPool.common.threadFactory=org.opensearch.secure_sm.SecuredForkJoinWorkerThreadFactory \
        -Dopensearch.path.home="$home" -Dopensearch.path.conf="$dir/config" \
        -Dopensearch.distribution.type=zip -cp "$home/lib/*" org.opensearch.bootstrap.OpenSearch
}

opensearch_ready() { grep -q "started" "$run/opensearch.log" && answers "$opensearch_http"; }

opensearch_export() { export AUDITLINE_TEST_OPENSEARCH=http://127.0.0.1:$opensearch_http; }

opensearch_describe() { echo "opensearch $opensearch_version listening on $AUDITLINE_TEST_OPENSEARCH"; }
