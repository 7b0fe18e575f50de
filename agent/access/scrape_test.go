package access_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/internal/freeaddress"
	"coin.internal/coin-agent/internal/waitfor"
)

// TestScrape has a real Prometheus scrape metrics_listen as packaging/monitoring/prometheus.yml does:
// over TLS with the token. With another token it gets nothing.
func TestScrape(t *testing.T) {
	certFile, keyFile := certificate(t, "node3.internal")
	exposition, err := access.Expose(access.Metrics{Listen: "127.0.0.1:0", CertFile: certFile, KeyFile: keyFile, TokenFile: write(t, readToken, 0o600)}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- control.Serve(ctx, exposition.Listener(), exposition.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "coin_agent_in_sync 1\n")
		})))
	}()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	config := "global: {scrape_interval: 250ms, scrape_timeout: 250ms}\nscrape_configs:\n"
	for job, token := range map[string]string{"good": readToken, "bad": operateToken} {
		config += fmt.Sprintf("  - {job_name: %s, scheme: https, authorization: {credentials_file: %s}, tls_config: {ca_file: %s}, static_configs: [{targets: [%q]}]}\n",
			job, write(t, token, 0o600), certFile, exposition.Listener().Addr())
	}
	base := prometheus(t, config)
	for query, want := range map[string]string{`coin_agent_in_sync`: `"job":"good"`, `up{job="good"}`: `"1"`, `up{job="bad"}`: `"0"`} {
		waitfor.NoError(t, 5*time.Minute, func() error {
			response, err := http.Get(base + "/api/v1/query?query=" + url.QueryEscape(query)) //nolint:noctx // of this test's process
			if err != nil {
				return err
			}
			defer response.Body.Close() //nolint:errcheck // only read from
			text, err := io.ReadAll(response.Body)
			if err == nil && (!strings.Contains(string(text), want) || strings.Contains(string(text), "coin_agent_in_sync") && strings.Contains(string(text), `"job":"bad"`)) {
				err = fmt.Errorf("%s gives %s", query, text)
			}
			return err
		})
	}
}

// prometheus runs a Prometheus, and gives its address.
func prometheus(t *testing.T, config string) string {
	t.Helper()
	address := freeaddress.New(t)
	command := exec.Command("prometheus", "--config.file="+write(t, config, 0o600), "--storage.tsdb.path="+filepath.Join(t.TempDir(), "data"), "--web.listen-address="+address)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return "http://" + address
}
