package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/internal/waitfor"
	"coin.internal/coin-agent/vault/vaulttest"
)

// vaultLab is a lab whose node takes db_access from Vault: the double, or the real server whose
// binary VAULT_TEST_BINARY names (make vault).
type vaultLab struct {
	*lab
	server vaulttest.Server
	admin  *vaulttest.Admin
	hidden []string // what must be seen nowhere
	seen   witness
}

const inVaultPath = "kv/data/coin/db"

func newVaultLab(t *testing.T) *vaultLab {
	t.Helper()
	t.Parallel()
	v := &vaultLab{lab: newLab(t), seen: witness{}}
	if binary := os.Getenv("VAULT_TEST_BINARY"); binary != "" {
		v.server = vaulttest.Real(t, binary)
	} else {
		v.server = vaulttest.New(t).Server
	}
	v.admin = vaulttest.NewAdmin(t, v.server)
	v.admin.Mount("kv", "2")
	v.admin.Allow("node3", "kv/data/coin/*")
	roleID, secretID := v.admin.AppRole("approle", "node3")
	maps.Copy(v.settings, map[string]string{
		"vault_address": v.server.Address, "ca_file": v.server.CAFile, "vault_mount": "kv", "vault_prefix": "coin", "vault_role_id_file": roleID, "vault_secret_id_file": secretID,
	})
	login, err := os.ReadFile(secretID)
	if err != nil {
		t.Fatal(err)
	}
	v.hidden = []string{strings.TrimSpace(string(login))}
	return v
}

// put writes the next version of the secret.
func (v *vaultLab) put(value string) {
	v.t.Helper()
	v.hidden = append(v.hidden, value)
	v.admin.Put(inVaultPath, map[string]any{"password": value})
}

// refer commits a reference in place of the value of db_access.
func (v *vaultLab) refer(reference string) string {
	v.t.Helper()
	files := v.smallRepo()
	delete(files, node3+"secrets.override.enc")
	files[node3+"docker-compose.yml"] = without(without(without(smallCompose, "worker"), "migrate"), "cron_service")
	files[node3+"secrets.enc"] = sopstest.YAML(v.t, v.key, map[string]string{"db_access": reference, "web_auth": canaries["web_auth"]})
	return v.commit("db_access is "+reference, files)
}

// runs wants a version of the secret in Swarm, and its value in the container.
func (v *vaultLab) runs(version, value string) {
	v.t.Helper()
	if got, content := v.sees("web", "db_access"); got != version || content != value {
		v.t.Errorf("the container has version %q of the secret, want %q", got, version)
	}
	if name := v.stack + "_db_access." + version; !slices.Contains(v.secrets(), name) {
		v.t.Errorf("Swarm has %v, not %s", v.secrets(), name)
	}
}

// look notes what can be seen of the agent and on its page, once a text is in some places: between
// two attempts a sync is pending again, without an error.
func (v *vaultLab) look(when, text string, in ...string) {
	v.t.Helper()
	waitfor.NoError(v.t, patience, func() error {
		v.note(when)
		for _, place := range in {
			if shown := v.seen[when+": "+place]; !strings.Contains(shown, text) {
				return fmt.Errorf("%s: %s does not say %q: %s", when, place, text, shown)
			}
		}
		return nil
	})
}

func (v *vaultLab) note(when string) {
	v.t.Helper()
	v.seen.everything(v.lab, when)
	client := &http.Client{Transport: dialling(v.settings["socket"])}
	for _, path := range []string{"/", "/plan", "/secrets", "/syncs", "/syncs/latest"} {
		response, err := client.Get("http://agent" + path)
		if err != nil {
			v.t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		v.seen[when+": page "+path] = string(body)
	}
}

// TestVault deploys a secret from Vault: its version there is the version in Swarm, a newer one
// is shown and is deployed by a commit only, and without Vault what runs stays. The values are seen
// nowhere.
func TestVault(t *testing.T) {
	v := newVaultLab(t)
	const one, two = "version: 1\ncanary-in-vault-1-c53b7e90", "version: 2\ncanary-in-vault-2-19f4ad62"
	v.put(one)
	v.put(two)
	v.running(v.refer("vault:" + inVaultPath + "#password@1"))
	v.runs("1", one)
	v.until("Vault has a newer version", func(s report.Status) bool {
		return s.Vault != nil && len(s.Vault.Newer) == 1 && s.Vault.Newer[0].Newest == 2
	})
	v.look("newer", "Vault has version 2", "agent status", "agent secrets list", "page /", "page /secrets")

	v.admin.Do(http.MethodPut, "sys/seal", nil)
	before := v.versions()
	second := v.refer("vault:" + inVaultPath + "#password@2")
	failed := v.await(second, record.Failed).Sync
	if !failed.Transient || failed.Code != fault.CodeVault || !strings.HasPrefix(failed.Error, node3+"secrets.enc:") {
		t.Errorf("without Vault: %+v", failed)
	}
	v.look("away", "is sealed or not available", "agent status", "agent show latest", "socket /v1/status", "page /", "GitLab")
	for name, index := range v.versions() {
		if before[name] != index {
			t.Errorf("%s was written without Vault", name)
		}
	}
	v.runs("1", one)
	v.admin.Do(http.MethodPut, "sys/unseal", map[string]any{"key": v.server.Unseal})
	if status := v.await(second, record.Succeeded); status.Vault == nil || len(status.Vault.Newer) != 0 {
		t.Errorf("after the newest version was deployed: %+v", status.Vault)
	}
	v.runs("2", two)

	dynamic := v.await(v.refer("vault:database/creds/app#password@2"), record.Failed).Sync
	if dynamic.Transient || !strings.Contains(dynamic.Error, "a dynamic secret, such as database/creds, is another login at each read") {
		t.Errorf("a dynamic secret: %+v", dynamic)
	}
	v.look("dynamic", "a dynamic secret", "agent status", "page /")
	if entries := v.seen["dynamic: agent audit log"]; !strings.Contains(entries, inVaultPath) || !strings.Contains(entries, "version 2") {
		t.Errorf("the audit log does not have the reads: %s", entries)
	}
	v.stop()
	v.seen.files(v.lab, "stopped")
	v.seen["stopped: log"] = v.logText()
	v.seen.commands(v.lab, "stopped", "status -o json", "history -o json", "secrets list -o json", "sync --once")
	hunted := needlesOf(v.hidden...)
	for place, text := range v.seen {
		if found := hunted.in(text); len(found) > 0 {
			t.Errorf("%s shows %q", place, found)
		}
	}
}
