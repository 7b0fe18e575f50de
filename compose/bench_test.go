package compose_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/secrets"
)

// BenchmarkRender renders stacks of several sizes. Each service has settings from an
// anchor, an environment, an env_file, a secret and a network.
func BenchmarkRender(b *testing.B) {
	for _, services := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			node := load(b, repository(generated(services)), "test", "n")
			set, err := secrets.Seal(secretFiles(b, node), secrets.Options{AllowPlaintext: true})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				stack, err := compose.Render(node, set, compose.Options{})
				if err != nil {
					b.Fatal(err)
				}
				if len(stack.Services) != services || len(stack.Secrets) != services {
					b.Fatalf("%d services, %d secrets", len(stack.Services), len(stack.Secrets))
				}
			}
		})
	}
}

// BenchmarkLimits renders stacks and measures the same files for the limits, in turns. Bytes
// and allocations do not depend on what else runs on the machine, so it gives those: of the
// limits, and their share of Render's.
func BenchmarkLimits(b *testing.B) {
	for _, services := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			node := load(b, repository(generated(services)), "test", "n")
			set, err := secrets.Seal(secretFiles(b, node), secrets.Options{AllowPlaintext: true})
			if err != nil {
				b.Fatal(err)
			}
			measure, err := compose.Measures(node)
			if err != nil {
				b.Fatal(err)
			}
			render := func() error { _, err := compose.Render(node, set, compose.Options{}); return err }
			var rendered, limits cost
			for b.Loop() {
				rendered.add(b, render)
				limits.add(b, measure)
			}
			b.ReportMetric(limits.bytes/float64(b.N), "limits-B/op")
			b.ReportMetric(limits.allocs/float64(b.N), "limits-allocs/op")
			b.ReportMetric(100*limits.bytes/rendered.bytes, "%-of-B")
			b.ReportMetric(100*limits.allocs/rendered.allocs, "%-of-allocs")
		})
	}
}

// cost is what was allocated.
type cost struct{ bytes, allocs float64 }

// add adds what one call allocates.
func (c *cost) add(b *testing.B, call func() error) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := call()
	runtime.ReadMemStats(&after)
	if err != nil {
		b.Fatal(err)
	}
	c.bytes += float64(after.TotalAlloc - before.TotalAlloc)
	c.allocs += float64(after.Mallocs - before.Mallocs)
}

// generated returns a node with this number of services, each with a secret.
func generated(services int) map[string]string {
	var file, objects strings.Builder
	file.WriteString(`x-app: &app
  env_file: $PROJECT_SETTINGS
  networks: [back]
  deploy:
    replicas: 2
    resources: {limits: {cpus: "0.5", memory: 64M}}
    restart_policy: {condition: on-failure}
  healthcheck: {test: [CMD, /app, health], interval: 3s}
  logging: {driver: json-file, options: {max-size: 10m}}
networks:
  back: {driver: overlay, attachable: true}
services:
`)
	objects.WriteString("secrets:\n")
	files := map[string]string{
		"/environments/test/config.yml": plaintext,
		"project.env":                   settings(50),
	}
	for i := range services {
		fmt.Fprintf(&file, `  app%[1]d:
    <<: *app
    image: registry.example/app:$TAG_APP_%[1]d
    environment: {NAME: app%[1]d, RELEASE: $TAG_APP_%[1]d}
    labels: {number: "%[1]d"}
    secrets:
      - {source: key%[1]d, target: key, uid: "1000", mode: 0400}
`, i)
		fmt.Fprintf(&objects, "  key%[1]d: {file: ./secrets/key%[1]d, name: key%[1]d.$SV_key%[1]d}\n", i)
		files[fmt.Sprintf("secrets/key%d", i)] = "key"
	}
	files["docker-compose.yml"] = file.String() + objects.String()
	return files
}

func settings(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "SETTING_%d=value %d\n", i, i)
	}
	return b.String()
}
