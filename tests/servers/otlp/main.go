// The OpenTelemetry Collector's own OTLP receiver, with a consumer behind it that writes what it is given to a file: a
// line of OTLP/JSON for each log record, flushed before the request is answered.
//
// What the Collector decides by itself (bodies, compression, sizes, credentials in its extensions' place, TLS) is as in
// the Collector. It rejects no single record of a request: what has to, plays that itself.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

func main() {
	endpoint := flag.String("endpoint", "127.0.0.1:4318", "where to listen")
	output := flag.String("output", "logs.jsonl", "the file to write to")
	cert := flag.String("cert", "", "the server's certificate, for TLS")
	key := flag.String("key", "", "its key")
	maxBody := flag.Int64("max-body", 0, "the largest request in bytes, unpacked")
	flag.Parse()
	if err := serve(*endpoint, *output, *cert, *key, *maxBody); err != nil {
		log.Fatal(err)
	}
}

func serve(endpoint, output, cert, key string, maxBody int64) error {
	file, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	var lock sync.Mutex
	sink, err := consumer.NewLogs(func(_ context.Context, logs plog.Logs) error {
		lock.Lock()
		defer lock.Unlock()
		line, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
		if err != nil {
			return err
		}
		_, err = file.Write(append(line, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	http := map[string]any{"endpoint": endpoint}
	if cert != "" {
		http["tls"] = map[string]any{"cert_file": cert, "key_file": key}
	}
	if maxBody > 0 {
		http["max_request_body_size"] = maxBody
	}
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	written := confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{"http": http}})
	if err := written.Unmarshal(config); err != nil {
		return err
	}
	settings := receivertest.NewNopSettings(factory.Type())
	logs, err := factory.CreateLogs(context.Background(), settings, config, sink)
	if err != nil {
		return err
	}
	if err := logs.Start(context.Background(), componenttest.NewNopHost()); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	return logs.Shutdown(context.Background())
}
