package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certified writes a certificate that ends at a time, and its key.
func certified(t *testing.T, end time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"node3.example.com"}, NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	save := func(name, kind string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return save("api.crt", "CERTIFICATE", der), save("api.key", "PRIVATE KEY", private)
}

// diagnosed gives the doctor's findings for a repository and settings.
func diagnosed(t *testing.T, repository, settings string) (findings []finding) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "agent.yml")
	base := fmt.Sprintf("environment: sandbox\nnode: node3\nrepository: %q\nengine: unix:///nowhere/docker.sock\nstate_dir: %q\n", repository, t.TempDir())
	if err := os.WriteFile(config, []byte(base+settings), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	run(t.Context(), []string{"doctor", "-o", "json", "--config", config}, &out, &errs)
	if err := json.Unmarshal(out.Bytes(), &findings); err != nil {
		t.Fatalf("%v: %s%s", err, out.String(), errs.String())
	}
	return findings
}

// The doctor reads the API's tokens and its certificate, and says what is wrong with them.
func TestDoctorAPI(t *testing.T) {
	dir := t.TempDir()
	token := filepath.Join(dir, "api-ci")
	if err := os.WriteFile(token, []byte(readToken), 0o600); err != nil {
		t.Fatal(err)
	}
	secured := func(file string, end time.Duration) string {
		cert, key := certified(t, time.Now().Add(end))
		return fmt.Sprintf("api_listen: 0.0.0.0:9181\napi_cert_file: %q\napi_key_file: %q\napi_tokens: [{name: ci, file: %q}]\n", cert, key, file)
	}
	for name, test := range map[string]struct{ settings, grade, text, hint string }{
		"none":        {"", "ok", "not set", ""},
		"on loopback": {fmt.Sprintf("api_listen: 127.0.0.1:9181\napi_tokens: [{name: ci, file: %q}]\n", token), "ok", "127.0.0.1:9181 without TLS, 1 token", ""},
		"with TLS":    {secured(token, 1000*time.Hour), "ok", "0.0.0.0:9181 with TLS until 20", ""},
		"no token":    {secured(token+".away", 1000*time.Hour), "fail", "api-ci.away", "create the file"},
		"soon over":   {secured(token, 72*time.Hour), "warn", "the API's certificate expires ", "renew it"},
		"over":        {secured(token, -time.Hour), "fail", "the API's certificate expired ", "renew it"},
		"both":        {secured(token+".away", 72*time.Hour), "fail", "api-ci.away", "create the file"}, // the doubt of one is not that of the other
		"no TLS":      {fmt.Sprintf("api_listen: 0.0.0.0:9181\napi_tokens: [{name: ci, file: %q}]\n", token), "fail", "is not a loopback address", "set api_cert_file"},
	} {
		t.Run(name, func(t *testing.T) {
			findings := diagnosed(t, dir, test.settings)
			got := findings[len(findings)-1]
			if got.Subject != "api" || got.Grade != test.grade || !strings.Contains(got.Text, test.text) || !strings.Contains(got.Hint, test.hint) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// The doctor reads the token and the certificate of the metrics for other machines, and doubts
// metrics that are open to everyone.
func TestDoctorMetrics(t *testing.T) {
	dir := t.TempDir()
	token := filepath.Join(dir, "metrics-token")
	if err := os.WriteFile(token, []byte(readToken), 0o600); err != nil {
		t.Fatal(err)
	}
	cert, key := certified(t, time.Now().Add(72*time.Hour))
	const listen = "metrics_listen: 0.0.0.0:9182\n"
	for name, test := range map[string]struct{ settings, grade, text, hint string }{
		"none":      {"", "ok", "on this machine only", ""},
		"soon over": {fmt.Sprintf("%smetrics_cert_file: %q\nmetrics_key_file: %q\nmetrics_token_file: %q\n", listen, cert, key, token), "warn", "the certificate of metrics_listen expires ", "renew it"},
		"no token":  {fmt.Sprintf("%smetrics_open: true\nmetrics_token_file: %q\n", listen, token+".away"), "fail", "metrics-token.away", "create the file"},
		"open":      {listen + "metrics_open: true\n", "warn", "everyone who reaches 0.0.0.0:9182 reads the metrics", "firewall"},
	} {
		findings := diagnosed(t, dir, test.settings)
		got := findings[len(findings)-2]
		if got.Subject != "metrics" || got.Grade != test.grade || !strings.Contains(got.Text, test.text) || !strings.Contains(got.Hint, test.hint) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
