package agent_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
)

// vaultOfTest is a Vault with one secret, at kv/data/coin/db.
type vaultOfTest struct {
	mu      sync.Mutex
	newest  int
	down    bool
	logins  int
	reads   []string
	opened  int
	lacking map[int]bool
}

func (v *vaultOfTest) set(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
}

// took gives what was read since the last call.
func (v *vaultOfTest) took() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	defer func() { v.reads = nil }()
	return v.reads
}

func (v *vaultOfTest) open() (desired.VaultClient, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.logins++
	v.opened++
	return v, nil
}

func (v *vaultOfTest) Close(context.Context) { v.set(func() { v.opened-- }) }

func (v *vaultOfTest) Read(_ context.Context, path string, version int) (int, map[string][]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reads = append(v.reads, fmt.Sprintf("%s@%d", path, version))
	if version == 0 {
		version = v.newest
	}
	switch {
	case v.down:
		return 0, nil, fault.Transient(fault.WithCode(errors.New("vault does not answer"), fault.CodeVault))
	case v.lacking[version] || path != "kv/data/coin/db":
		return 0, nil, fault.WithCode(fault.New(fault.Place{}, "hint", "Vault has no version %d at %s", version, path), fault.CodeVault)
	}
	return version, map[string][]byte{"password": fmt.Appendf(nil, "canary-in-vault-%d", version)}, nil
}

const vaultCompose = "services: {web: {image: \"app:$TAG\", secrets: [db]}}\nsecrets: {db: {file: ./secrets/db, name: \"s_db.$SV_db\"}}\n"

// inVaultWorld runs a test in a world whose node takes db from Vault.
func inVaultWorld(t *testing.T, reference string, test func(w *world, v *vaultOfTest)) {
	t.Helper()
	v := &vaultOfTest{newest: 7}
	inWorld(t, func(w *world) {
		w.change = func(parts *agent.Parts) {
			parts.Vault = desired.Vault{Open: v.open, Below: "kv/data/coin"}
			if parts.Policy == nil {
				parts.Policy = policy.NewCurrent(nil)
			}
		}
		config := string(w.files[configFile].Data) + "allow_plaintext_secrets: true\ndrift: correct\n"
		w.commit("1", configFile, config, nodeDir+"docker-compose.yml", vaultCompose, nodeDir+"secrets.enc", "db: "+reference+"\n")
		test(w, v)
	})
}

// versions lists the secrets of the engine.
func (w *world) versions() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for name := range w.secrets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestVaultVersions wants the version in Vault to name the secret, and @auto to change with a
// commit only: not with a look, a correction of drift, a restart or a user's sync.
func TestVaultVersions(t *testing.T) {
	inVaultWorld(t, "vault:kv/data/coin/db#password@auto", func(w *world, v *vaultOfTest) {
		w.start()
		first := w.wantLast(w.revision.Commit, record.Succeeded)
		if want := []record.VaultRead{{Path: "kv/data/coin/db", Version: 7, Auto: true}}; !slices.Equal(first.Vault, want) {
			t.Errorf("the sync records %v", first.Vault)
		}
		v.set(func() { v.newest = 8 })
		v.took()
		w.poll()
		if got := v.took(); len(got) > 0 {
			t.Errorf("a look without a commit reads %v", got)
		}
		drifts := func() {
			w.set(func() {
				spec := w.live["s_web"]
				container := *spec.TaskTemplate.ContainerSpec
				container.Image = "app:other"
				spec.TaskTemplate.ContainerSpec = &container
				w.live["s_web"] = spec
			})
		}
		drifts()
		w.poll()
		w.halt()
		w.start()
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			t.Error(err)
		}
		w.poll()
		if diff := cmp.Diff([]string{"s_db.7"}, w.versions()); diff != "" {
			t.Error(diff)
		}
		if got := slices.Compact(v.took()); !slices.Equal(got, []string{"kv/data/coin/db@7"}) {
			t.Errorf("read %v after the first sync", got)
		}
		w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		if diff := cmp.Diff([]string{"s_db.7", "s_db.8"}, w.versions()); diff != "" {
			t.Error(diff)
		}
		if v.opened != 0 || v.logins == 0 {
			t.Errorf("%d of %d logins are open", v.opened, v.logins)
		}
	})
}

// TestVaultReadsAreAudited wants each version that a sync reads in the audit log once, and the
// value nowhere on disk.
func TestVaultReadsAreAudited(t *testing.T) {
	inVaultWorld(t, "vault:kv/data/coin/db#password@7", func(w *world, _ *vaultOfTest) {
		w.set(func() { w.engineErr = errors.New("away") })
		w.start()
		w.poll()
		w.set(func() { w.engineErr = nil })
		w.pass(10 * interval)
		w.wantLast(w.revision.Commit, record.Succeeded)
		var reads []string
		if _, err := audit.Read(w.dir, func(entry audit.Entry) {
			if entry.Action == audit.ReadVault {
				reads = append(reads, fmt.Sprintf("%s %s %s by sync %d", entry.Kind, entry.Name, entry.Detail, entry.Sync))
			}
		}); err != nil {
			t.Fatal(err)
		}
		if want := []string{"vault kv/data/coin/db version 7 by sync 1"}; !slices.Equal(reads, want) {
			t.Errorf("the audit log has %q", reads)
		}
		w.halt()
		files, err := filepath.Glob(filepath.Join(w.dir, "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(err)
		}
		for _, name := range files {
			if text, err := os.ReadFile(name); err == nil && strings.Contains(string(text), "canary-in-vault") {
				t.Errorf("%s has the value", name)
			}
		}
		w.start()
	})
}

// TestVaultIsAway keeps what runs while Vault does not answer, and goes on when it does. A
// rollback needs no Vault.
func TestVaultIsAway(t *testing.T) {
	inVaultWorld(t, "vault:kv/data/coin/db#password@7", func(w *world, v *vaultOfTest) {
		w.start()
		good := w.wantLast(w.revision.Commit, record.Succeeded)
		v.set(func() { v.down = true })
		w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		failed := w.wantLast(w.revision.Commit, record.Failed)
		if !failed.Transient || failed.Code != fault.CodeVault || failed.Stage != record.StageDecrypt || !strings.HasPrefix(failed.Error, nodeDir+"secrets.enc:1: vault does not answer") || w.plans() != 1 {
			t.Errorf("%+v after %d plans", failed, w.plans())
		}
		v.set(func() { v.down = false })
		w.pass(20 * interval)
		w.wantLast(w.revision.Commit, record.Succeeded)
		v.set(func() { v.down = true })
		if _, err := w.desk.Rollback(w.t.Context(), person, request.Rollback{To: good.ID, Reason: "an outage"}, func(string) {}); err != nil {
			t.Fatal(err)
		}
		w.poll()
		if last := w.last(); last.State != record.RolledBack || w.live["s_web"].TaskTemplate.ContainerSpec.Image != "app:1" {
			t.Errorf("%s: %s; %s", last.State, last.Error, w.live["s_web"].TaskTemplate.ContainerSpec.Image)
		}
	})
}

// TestVaultPlans wants the plans of merge requests to read no value: they ask for the newest
// version of @auto only, and do without Vault while it is away.
func TestVaultPlans(t *testing.T) {
	inVaultWorld(t, "vault:kv/data/coin/db#password@auto", func(w *world, v *vaultOfTest) {
		server, client := newGitLab(t)
		source, heads, change := branches{w, map[string]fstest.MapFS{}}, uint64(1), w.change
		w.change = func(parts *agent.Parts) {
			change(parts)
			requests := gitlab.NewRequests(client)
			parts.Source = source
			parts.Previews = &agent.Previews{Branch: "master", Heads: func() uint64 { w.mu.Lock(); defer w.mu.Unlock(); return heads }, Requests: requests, Approvals: client, Notes: requests}
		}
		w.start()
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		v.took()
		plan := func(number, reference string) string {
			files := maps.Clone(w.files)
			files[nodeDir+"secrets.enc"] = file("db: " + reference + "\n")
			source.files[strings.Repeat(number, 40)] = files
			server.AddOpen(gitlabtest.Open{Source: "b" + number, Head: strings.Repeat(number, 40)})
			w.set(func() { heads++ })
			for range 5 {
				w.poll()
			}
			all := server.RequestNotes(int64(number[0] - '0'))
			if len(all) != 1 {
				t.Fatalf("!%s: %+v", number, all)
			}
			return all[0].Body
		}
		for _, test := range []struct {
			number, reference string
			down              bool
			want              string
			reads             []string
		}{
			{"1", "vault:kv/data/coin/db#password@8", false, "version 8 of kv/data/coin/db is compared by its number only", nil},
			{"2", "vault:kv/data/coin/db#other@auto", false, "version 7 of kv/data/coin/db is compared by its number only", []string{"kv/data/coin/db@0"}},
			{"3", "vault:kv/data/coin/db#third@auto", true, "its newest version is not known", []string{"kv/data/coin/db@0"}},
			{"4", "vault:kv/data/other#x@auto", false, "must not be read: it is not below vault_prefix", nil},
		} {
			v.set(func() { v.down = test.down })
			if text := plan(test.number, test.reference); !strings.Contains(text, test.want) || strings.Contains(text, "canary") {
				t.Errorf("!%s: %s", test.number, text)
			}
			if got := slices.Compact(v.took()); !slices.Equal(got, test.reads) {
				t.Errorf("!%s reads %v", test.number, got)
			}
		}
	})
}

// TestVaultRefusals hold a commit, before anything is written.
func TestVaultRefusals(t *testing.T) {
	for reference, want := range map[string]string{
		"vault:kv/data/coin/db#password@9":    "Vault has no version 9 at kv/data/coin/db",
		"vault:kv/data/coin/db#other@7":       `version 7 of kv/data/coin/db in Vault has no key "other"`,
		"vault:kv/data/payments/key#x@1":      "the secret at kv/data/payments/key in Vault must not be read: it is not below vault_prefix of agent.yml, kv/data/coin",
		"vault:kv/data/coindesk/key#x@1":      "the secret at kv/data/coindesk/key in Vault must not be read",
		"vault:kv/data/coin/db#password":      "the value of db begins with vault:, but is not a reference",
		"vault:kv/data/coin/db#password@auto": "SV_db is set to another version than the one in Vault, 7",
	} {
		t.Run(reference, func(t *testing.T) {
			inVaultWorld(t, reference, func(w *world, v *vaultOfTest) {
				v.set(func() { v.lacking = map[int]bool{9: true} })
				if strings.HasSuffix(reference, "@auto") {
					w.commit("1", nodeDir+"node.env", "TAG=1\nSV_db=3\n")
				}
				w.start()
				failed := w.wantLast(w.revision.Commit, record.Failed)
				if failed.Transient || !strings.HasPrefix(failed.Error, nodeDir+"secrets.enc:1: "+want) || failed.Hint == "" || w.plans() != 0 {
					t.Errorf("transient %t, %s (%s)", failed.Transient, failed.Error, failed.Hint)
				}
				if strings.Contains(failed.Error+failed.Hint, "canary") {
					t.Error("the error shows the value")
				}
			})
		})
	}
}
