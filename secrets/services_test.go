package secrets_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

const vaultToken = "canary-vault-token"

// transit answers like Vault's transit engine for the key coin, with base64 as its cipher.
// The real sops command encrypts with it, so that the form of the file is right.
type transit struct {
	*httptest.Server
	requests atomic.Int32
	refuse   int // the status of all answers
	ca       string
}

func newTransit(t *testing.T) *transit {
	t.Helper()
	tr := &transit{ca: filepath.Join(t.TempDir(), "ca.pem")}
	tr.Server = httptest.NewTLSServer(http.HandlerFunc(tr.answer))
	t.Cleanup(tr.Close)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tr.Certificate().Raw})
	if err := os.WriteFile(tr.ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return tr
}

func (tr *transit) answer(w http.ResponseWriter, r *http.Request) {
	tr.requests.Add(1)
	var body map[string]string
	err := json.NewDecoder(r.Body).Decode(&body)
	data := map[string]string{}
	switch {
	case err != nil || tr.refuse > 0 || r.Header.Get("X-Vault-Token") != vaultToken:
		w.WriteHeader(cmp.Or(tr.refuse, http.StatusForbidden))
		_, _ = w.Write([]byte(`{"errors": ["permission denied: ` + r.Header.Get("X-Vault-Token") + `"]}`))
		return
	case r.URL.Path == "/v1/transit/encrypt/coin":
		data["ciphertext"] = "vault:v1:" + base64.StdEncoding.EncodeToString([]byte(body["plaintext"]))
	case r.URL.Path == "/v1/transit/decrypt/coin":
		plain, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(body["ciphertext"], "vault:v1:"))
		data["plaintext"] = string(plain)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

// encrypt returns a file of the sops command with this Vault as a recipient.
func (tr *transit) encrypt(t *testing.T, args ...string) []byte {
	t.Helper()
	b := lab
	b.env = []string{"VAULT_TOKEN=" + vaultToken, "VAULT_CACERT=" + tr.ca}
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("a: canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append(args, "--config", "/dev/null", "--hc-vault-transit", tr.URL+"/v1/transit/keys/coin", "-e", "--input-type", "yaml", "--output-type", "yaml", plain)
	data, err := b.run(b.sops, args...)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (tr *transit) files(t *testing.T) secrets.KeyFiles {
	t.Helper()
	return secrets.KeyFiles{Services: []string{"age", "hc_vault"}, VaultAddress: tr.URL, VaultToken: keyFile(t, vaultToken+"\n", 0o600), CAFile: tr.ca}
}

func TestVaultOpensWhenConfigured(t *testing.T) {
	tr := newTransit(t)
	files := []secrets.File{{Path: "secrets.enc", Data: tr.encrypt(t)}}
	for name, value := range map[string]string{ // these are ignored
		"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_AGENT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "other", "VAULT_NAMESPACE": "x", "SOPS_HC_VAULT_ALLOWLIST": "none",
	} {
		t.Setenv(name, value)
	}
	if got := value(open(t, load(t, tr.files(t)), files...), "a", ""); got != "canary" {
		t.Errorf("got %q", got)
	}
	before := tr.requests.Load()
	t.Setenv("VAULT_TOKEN", vaultToken)
	for _, keys := range []secrets.KeyFiles{{}, {Services: []string{"age"}}, {Age: []string{lab.path("age.key")}}} {
		_, err := load(t, keys).Open(files, secrets.Options{})
		if err == nil || !strings.Contains(err.Error(), "Vault transit "+tr.URL+"/v1/transit/keys/coin (needs hc_vault)") {
			t.Errorf("got %v", err)
		}
		if !strings.HasPrefix(fault.Hint(err), "add hc_vault to key_services") {
			t.Errorf("hint %q", fault.Hint(err))
		}
	}
	if tr.requests.Load() != before {
		t.Error("the Vault got a request, but it is not configured")
	}
	both := []secrets.File{{Path: "secrets.enc", Data: tr.encrypt(t, "--age", lab.age)}}
	before = tr.requests.Load()
	withAge := tr.files(t)
	withAge.Age = []string{lab.path("age.key")}
	open(t, load(t, withAge), both...)
	if tr.requests.Load() != before {
		t.Error("the Vault got a request, but an age key opens the file")
	}
}

// A commit can write another address or path into a file. The token is not sent there.
func TestVaultIsAskedNothingElse(t *testing.T) {
	tr, foreign := newTransit(t), newTransit(t)
	data := string(tr.encrypt(t))
	cases := map[string]struct{ data, want string }{
		"another Vault": {strings.ReplaceAll(data, tr.URL, foreign.URL), "its address differs from vault_address, " + tr.URL},
		"another path":  {strings.Replace(data, "engine_path: transit", "engine_path: sys/../auth", 1), "its path is not the path of a transit key"},
		"another query": {strings.Replace(data, "key_name: coin", `key_name: "../../sys/seal?x="`, 1), "its path is not the path of a transit key"},
	}
	before := tr.requests.Load()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			if test.data == data {
				t.Fatal("the file did not change")
			}
			_, err := load(t, tr.files(t)).Open([]secrets.File{{Path: "secrets.enc", Data: []byte(test.data)}}, secrets.Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	if tr.requests.Load() != before || foreign.requests.Load() != 0 {
		t.Error("a request was sent")
	}
}

func TestVaultThatRefuses(t *testing.T) {
	tr := newTransit(t)
	files := []secrets.File{{Path: "secrets.enc", Data: tr.encrypt(t)}}
	ring := load(t, tr.files(t))
	try := func(want string, transient bool) {
		t.Helper()
		_, err := ring.Open(files, secrets.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") || fault.IsTransient(err) != transient {
			t.Errorf("got %v, transient: %t", err, fault.IsTransient(err))
		}
	}
	for _, status := range []int{http.StatusForbidden, http.StatusBadRequest} {
		tr.refuse = status
		try(http.StatusText(status), false)
	}
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusInternalServerError, http.StatusTooManyRequests, http.StatusTemporaryRedirect} {
		tr.refuse = status
		try(http.StatusText(status), true)
	}
	tr.Close()
	try("the connection failed", true)
}

// clouds lists the recipients in the form of sops, by the service that they need.
var clouds = map[string]string{
	"aws_kms":  "    kms:\n        - arn: arn:aws:kms:eu-central-1:1:key/abc\n          created_at: \"2026-01-01T00:00:00Z\"\n          enc: eHl6\n          aws_profile: \"\"\n",
	"gcp_kms":  "    gcp_kms:\n        - resource_id: projects/p/locations/global/keyRings/r/cryptoKeys/k\n          created_at: \"2026-01-01T00:00:00Z\"\n          enc: eHl6\n",
	"azure_kv": "    azure_kv:\n        - vault_url: https://coin.vault.azure.test\n          name: k\n          version: \"1\"\n          created_at: \"2026-01-01T00:00:00Z\"\n          enc: eHl6\n",
	"hckms":    "    hckms:\n        - key_id: eu-west-101:abc\n          created_at: \"2026-01-01T00:00:00Z\"\n          enc: eHl6\n",
}

func TestCloudsAreNamed(t *testing.T) {
	data := string(encrypt(t, "yaml", "a: canary\n", toAge()...))
	for service, recipient := range clouds {
		t.Run(service, func(t *testing.T) {
			files := []secrets.File{{Path: "secrets.enc", Data: []byte(strings.Replace(data, "sops:\n", "sops:\n"+recipient, 1))}}
			_, err := load(t, secrets.KeyFiles{Age: []string{lab.path("other.key")}}).Open(files, secrets.Options{})
			if err == nil || !strings.Contains(err.Error(), "(not built into the agent)") || !strings.Contains(fault.Hint(err), "sops updatekeys --input-type yaml secrets.enc") {
				t.Errorf("got %v, hint %q", err, fault.Hint(err))
			}
			if strings.Contains(fault.Hint(err), service) {
				t.Errorf("the hint names a service that cannot be allowed: %q", fault.Hint(err))
			}
			open(t, ageKeys(t), files...) // one recipient is enough
		})
	}
}

// A null in the encryption context makes SOPS panic when it names the recipient.
func TestNullInEncryptionContext(t *testing.T) {
	recipient := strings.Replace(clouds["aws_kms"], "aws_profile: \"\"", "aws_profile: \"\"\n          context: {a: null}", 1)
	data := strings.Replace(string(encrypt(t, "yaml", "a: canary\n", toAge()...)), "sops:\n", "sops:\n"+recipient, 1)
	files := []secrets.File{{Path: "secrets.enc", Data: []byte(data)}}
	if _, err := load(t, secrets.KeyFiles{}).Open(files, secrets.Options{}); err == nil {
		t.Error("the file opened without a key")
	}
	open(t, ageKeys(t), files...)
}
