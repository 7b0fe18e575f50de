package vault_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/vault"
	"coin.internal/coin-agent/vault/vaulttest"
)

const canary = "canary-of-vault"

// on gives a double with kv/data/db, and the options of a client.
func on(t *testing.T) (*vaulttest.Double, vault.Options) {
	t.Helper()
	double := vaulttest.New(t)
	admin := vaulttest.NewAdmin(t, double.Server)
	admin.Mount("kv", "2")
	admin.Put("kv/data/db", map[string]any{"password": canary})
	return double, vault.Options{Address: double.Address, CAFile: double.CAFile, Mount: "kv", TokenFile: admin.File("token", double.Root)}
}

func read(t *testing.T, options vault.Options) (string, error) {
	t.Helper()
	client, err := vault.New(options)
	if err != nil {
		return "", err
	}
	defer client.Close(t.Context())
	_, data, err := client.Read(t.Context(), "kv/data/db", 1)
	return string(data["password"]), err
}

// TestElsewhere sends no token to a server that the settings do not name, and shows no answer in
// an error.
func TestElsewhere(t *testing.T) {
	asked := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer other.Close()
	for _, name := range []string{"VAULT_ADDR", "VAULT_AGENT_ADDR", "VAULT_PROXY_ADDR"} {
		t.Setenv(name, other.URL)
	}
	t.Setenv("VAULT_TOKEN", "hvs.of-the-environment")
	t.Setenv("VAULT_NAMESPACE", "of-the-environment")
	t.Setenv("VAULT_WRAP_TTL", "60s")
	t.Setenv("VAULT_HEADERS", `{"X-Other":"x"}`)
	double, options := on(t)
	if got, err := read(t, options); err != nil || got != canary {
		t.Errorf("got %v", err)
	}
	for _, request := range double.Requests("") {
		if request.Namespace != "" || request.WrapTTL != "" {
			t.Errorf("%+v has the namespace or the wrapping of the environment", request)
		}
	}
	options.Namespace = "team/coin"
	if _, err := read(t, options); err != nil {
		t.Error(err)
	}
	if all := double.Requests("kv/"); all[len(all)-1].Namespace != "team/coin" {
		t.Errorf("got %+v", all)
	}
	for want, answer := range map[string]http.HandlerFunc{
		"answers with a redirect (HTTP 307)": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
		},
		"cannot answer now (HTTP 500)": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, canary, http.StatusInternalServerError) },
		"cannot answer now (HTTP 429)": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, canary, http.StatusTooManyRequests) },
		"does not answer like Vault":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>"+canary) },
		"the answer has more than":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `"`+strings.Repeat(canary, 1<<19)+`"`) },
		"does not answer: ":            func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"refuses to read kv/data/db (HTTP 4": func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/v1/kv/") {
				http.Error(w, canary, http.StatusBadRequest)
				return
			}
			fmt.Fprint(w, `{"data":{}}`)
		},
	} {
		double.Answer = func(w http.ResponseWriter, r *http.Request) bool { answer(w, r); return true }
		_, err := read(t, options)
		transient := !strings.HasPrefix(want, "refuses") && !strings.HasPrefix(want, "the answer")
		if err == nil || !strings.Contains(err.Error(), want) || fault.IsTransient(err) != transient || fault.CodeOf(err) != fault.CodeVault {
			t.Errorf("%s: got %v (transient %t)", want, err, fault.IsTransient(err))
		}
		if shown := fmt.Sprintf("%+v %s", err, fault.Hint(err)); strings.Contains(shown, "canary") || strings.Contains(shown, double.Root+"\n") {
			t.Errorf("%s: the error shows the answer", want)
		}
	}
	if asked > 0 {
		t.Errorf("another server was asked %d times", asked)
	}
}

// TestUnreachable is transient: no server, and one that is not trusted.
func TestUnreachable(t *testing.T) {
	_, options := on(t)
	for want, change := range map[string]func(*vault.Options){
		"does not answer":                       func(o *vault.Options) { o.Address = "http://127.0.0.1:1" },
		"has a certificate that is not trusted": func(o *vault.Options) { o.CAFile = "" },
		"read the file of vault_token_file":     func(o *vault.Options) { o.TokenFile = filepath.Join(t.TempDir(), "none") },
	} {
		changed := options
		change(&changed)
		if _, err := read(t, changed); err == nil || !strings.Contains(err.Error(), want) || !fault.IsTransient(err) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestValidate(t *testing.T) {
	good := vault.Options{Address: "https://vault.example.com:8200", Mount: "kv", TokenFile: "t"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*vault.Options){
		"vault_address is not an https address": func(o *vault.Options) { o.Address = "https://user@vault" },
		"vault_address does not use TLS":        func(o *vault.Options) { o.Address = "http://vault.example.com" },
		"vault_mount is not the path":           func(o *vault.Options) { o.Mount = "../sys" },
		"vault_namespace is not the path":       func(o *vault.Options) { o.Namespace = "a b" },
		"vault_auth_mount is not the path":      func(o *vault.Options) { o.AuthMount = "/approle" },
		"no login of Vault is":                  func(o *vault.Options) { o.TokenFile = "" },
		"more than one login":                   func(o *vault.Options) { o.JWTFile, o.Role = "j", "r" },
		"only one of vault_role_id_file":        func(o *vault.Options) { o.TokenFile, o.RoleIDFile = "", "r" },
		"only one of vault_jwt_file":            func(o *vault.Options) { o.TokenFile, o.JWTFile = "", "j" },
	} {
		options := good
		change(&options)
		if err := options.Validate(); err == nil || !strings.Contains(err.Error(), want) || fault.Hint(err) == "" {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestCloseAfterTheEnd ends the login once the context is over, as after an interruption.
func TestCloseAfterTheEnd(t *testing.T) {
	double, options := on(t)
	admin := vaulttest.NewAdmin(t, double.Server)
	admin.Allow("reader", "kv/data/*")
	role, secret := admin.AppRole("approle", "reader")
	options.TokenFile, options.RoleIDFile, options.SecretIDFile = "", role, secret
	client, err := vault.New(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := client.Check(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	client.Close(ctx)
	if left := double.Requests("auth/token/revoke-self"); len(left) != 1 {
		t.Errorf("the login was not ended: %v", double.Requests(""))
	}
}
