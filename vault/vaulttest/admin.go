package vaulttest

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/authorities"
)

// Admin administers a Vault with its root token, over the API.
type Admin struct {
	tb     testing.TB
	server Server
	client *http.Client
}

// NewAdmin makes an Admin.
func NewAdmin(tb testing.TB, server Server) *Admin {
	tb.Helper()
	client, err := authorities.Client(server.CAFile)
	if err != nil {
		tb.Fatal(err)
	}
	return &Admin{tb: tb, server: server, client: client}
}

// Do sends a request, and gives the answer. Every status but 2xx fails the test.
func (a *Admin) Do(method, path string, body map[string]any) map[string]any {
	a.tb.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		a.tb.Fatal(err)
	}
	request, err := http.NewRequestWithContext(a.tb.Context(), method, a.server.Address+"/v1/"+path, bytes.NewReader(text))
	if err != nil {
		a.tb.Fatal(err)
	}
	request.Header.Set("X-Vault-Token", a.server.Root)
	response, err := a.client.Do(request)
	if err != nil {
		a.tb.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	answer := map[string]any{}
	err = json.NewDecoder(response.Body).Decode(&answer)
	if response.StatusCode/100 != 2 || err != nil && response.StatusCode != http.StatusNoContent {
		a.tb.Fatalf("%s %s: HTTP %d: %v, %v", method, path, response.StatusCode, answer, err)
	}
	return answer
}

// Mount makes a KV engine of a version, "1" or "2".
func (a *Admin) Mount(path, version string) {
	a.tb.Helper()
	a.Do(http.MethodPost, "sys/mounts/"+path, map[string]any{"type": "kv", "options": map[string]any{"version": version}})
}

// Put writes the next version of a secret at a path of the API, such as kv/data/coin/db.
func (a *Admin) Put(path string, data map[string]any) {
	a.tb.Helper()
	a.Do(http.MethodPost, path, map[string]any{"data": data})
}

// Versions deletes, undeletes or destroys versions: action is delete, undelete or destroy.
func (a *Admin) Versions(action, path string, versions ...int) {
	a.tb.Helper()
	a.Do(http.MethodPut, strings.Replace(path, "/data/", "/"+action+"/", 1), map[string]any{"versions": versions})
}

// Allow makes a policy by which the paths may be read.
func (a *Admin) Allow(policy string, paths ...string) {
	a.tb.Helper()
	text := ""
	for _, path := range paths {
		text += `path "` + path + `" { capabilities = ["read"] }` + "\n"
	}
	a.Do(http.MethodPost, "sys/policies/acl/"+policy, map[string]any{"policy": text})
}

// Token gives a file with a new token of a policy.
func (a *Admin) Token(policy string, more map[string]any) string {
	a.tb.Helper()
	body := map[string]any{"policies": []string{policy}, "ttl": "1h"}
	maps.Copy(body, more)
	auth, _ := a.Do(http.MethodPost, "auth/token/create", body)["auth"].(map[string]any)
	text, _ := auth["client_token"].(string)
	return a.File("token", text)
}

// AppRole gives files with the role and secret IDs of a new role with a policy.
func (a *Admin) AppRole(mount, policy string) (roleID, secretID string) {
	a.tb.Helper()
	a.Do(http.MethodPost, "sys/auth/"+mount, map[string]any{"type": "approle"})
	role := "auth/" + mount + "/role/agent"
	a.Do(http.MethodPost, role, map[string]any{"token_policies": []string{policy}, "token_ttl": "20m"})
	read := func(path, key, method string) string {
		data, _ := a.Do(method, path, nil)["data"].(map[string]any)
		text, _ := data[key].(string)
		return a.File(key, text)
	}
	return read(role+"/role-id", "role_id", http.MethodGet), read(role+"/secret-id", "secret_id", http.MethodPost)
}

// Tokens counts the tokens that are valid.
func (a *Admin) Tokens() int {
	a.tb.Helper()
	return len(a.accessors())
}

// accessors lists the tokens that are valid, by what revokes them.
func (a *Admin) accessors() map[string]bool {
	a.tb.Helper()
	data, _ := a.Do("LIST", "auth/token/accessors", nil)["data"].(map[string]any)
	keys, _ := data["keys"].([]any)
	all := map[string]bool{}
	for _, key := range keys {
		text, _ := key.(string)
		all[text] = true
	}
	return all
}

// RevokeAfter revokes the tokens that are made during a function.
func (a *Admin) RevokeAfter(during func()) {
	a.tb.Helper()
	before := a.accessors()
	during()
	for accessor := range a.accessors() {
		if !before[accessor] {
			a.Do(http.MethodPost, "auth/token/revoke-accessor", map[string]any{"accessor": accessor})
		}
	}
}

// File writes a private file.
func (a *Admin) File(name, content string) string {
	a.tb.Helper()
	file := filepath.Join(a.tb.TempDir(), name)
	if err := os.WriteFile(file, []byte(content+"\n"), 0o600); err != nil {
		a.tb.Fatal(err)
	}
	return file
}
