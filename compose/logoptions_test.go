package compose_test

import (
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
)

// TestLogServers shows where logs go in each form that a driver reads, without logins: a policy
// names an entry with its server.
func TestLogServers(t *testing.T) {
	const invalid = "(not a valid address)"
	for value, want := range map[string]string{
		"logs.internal:24224":            "logs.internal:24224",
		"192.168.1.5:24224":              "192.168.1.5:24224",
		"[::1]:24224":                    "[::1]:24224",
		"log_server:24224":               "log_server:24224",
		"logs.internal":                  "logs.internal",
		"tcp://logs.internal:514":        "tcp://logs.internal:514",
		"tcp+tls://192.168.1.5:514":      "tcp+tls://192.168.1.5:514",
		"unixgram:///dev/log":            "unixgram:///dev/log",
		"/run/fluent.sock":               "/run/fluent.sock",
		"user:s3cr3t@logs.internal:1":    "logs.internal:1",
		"tcp://u:s3cr3t@logs:1?k=s3cr3t": "tcp://logs:1",
		"https://u:s3/cr3t@logs":         invalid,
		"tcp://logs:port":                "tcp://logs:port",
		"tcp://logs:port?s3cr3t":         invalid,
	} {
		var spec swarm.ServiceSpec
		spec.TaskTemplate.LogDriver = &swarm.Driver{Name: "fluentd", Options: map[string]string{"fluentd-address": value}}
		if diff := cmp.Diff([]string{"fluentd-address=" + want}, compose.LogOptions(spec)); diff != "" {
			t.Errorf("%s: %s", value, diff)
		}
	}
}
