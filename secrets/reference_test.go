package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// shelf is Vault as a map from path@version to keys; 0 is the newest version.
type shelf struct {
	held  map[string]map[string]string
	newer int
	down  bool
	asked []string
}

func (s *shelf) Read(_ context.Context, path string, version int) (int, map[string][]byte, error) {
	s.asked = append(s.asked, fmt.Sprintf("%s@%d", path, version))
	if s.down {
		return 0, nil, fault.Transient(errors.New("vault does not answer"))
	}
	if version == 0 {
		version = s.newer
	}
	held := s.held[fmt.Sprintf("%s@%d", path, version)]
	if held == nil {
		return 0, nil, fault.New(fault.Place{}, "hint", "no version %d", version)
	}
	data := map[string][]byte{}
	for key, value := range held {
		data[key] = []byte(value)
		if value == "null" {
			data[key] = nil
		}
	}
	return version, data, nil
}

func newShelf() *shelf {
	return &shelf{newer: 9, held: map[string]map[string]string{
		"kv/data/coin/db@7": {"password": "seven-canary", "user": "coin"},
		"kv/data/coin/db@9": {"password": "nine-canary", "user": "coin", "list": "null", "none": ""},
	}}
}

// plainly reads files in plaintext.
func plainly(t *testing.T, files map[string]string) *secrets.Set {
	t.Helper()
	var all []secrets.File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		all = append(all, secrets.File{Path: name, Data: []byte(files[name])})
	}
	set, err := secrets.Seal(all, secrets.Options{AllowPlaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func valueOf(t *testing.T, set *secrets.Set, name string) string {
	t.Helper()
	found, ok := set.Lookup(name, "")
	if !ok {
		t.Errorf("%s is not found", name)
	}
	return string(found.Reveal())
}

// TestReferences reads each version once, and no reference that secrets.override.enc replaces.
func TestReferences(t *testing.T) {
	set := plainly(t, map[string]string{
		"secrets.enc":          "db: vault:kv/data/coin/db#password@7\nuser: 'vault:kv/data/coin/db#user@7'\nauto: vault:kv/data/coin/db#password@auto\nover: vault:kv/data/none#x@1\nown: here\n",
		"secrets.override.enc": "over: mine\n",
	})
	if v, ok := set.Lookup("db", ""); !ok || v.Known() {
		t.Error("a reference is known before it was read")
	}
	shelf := newShelf()
	read, err := set.Resolve(t.Context(), shelf, secrets.Resolving{})
	want := []secrets.Reading{{Path: "kv/data/coin/db", Version: 7}, {Path: "kv/data/coin/db", Version: 9, Auto: true}}
	if err != nil || !slices.Equal(read, want) || !slices.Equal(shelf.asked, []string{"kv/data/coin/db@7", "kv/data/coin/db@0"}) {
		t.Errorf("read %v, asked for %v, %v", read, shelf.asked, err)
	}
	got := map[string]string{}
	for _, name := range []string{"db", "user", "auto", "over", "own"} {
		got[name] = valueOf(t, set, name)
	}
	if diff := cmp.Diff(map[string]string{"db": "seven-canary", "user": "coin", "auto": "nine-canary", "over": "mine", "own": "here"}, got); diff != "" {
		t.Error(diff)
	}
	if reference, place, ok := set.Reference("auto", ""); !ok || reference.Version != 9 || !reference.Auto || place.String() != "secrets.enc:3" {
		t.Errorf("got %+v at %s", reference, place)
	}
	if _, _, ok := set.Reference("over", ""); ok {
		t.Error("a value that replaces a reference is one")
	}
	set.Wipe()
	if v, _ := set.Lookup("db", ""); v.Known() {
		t.Error("a value from Vault is not wiped")
	}
}

// TestSettledReferences wants the settled version of @auto, and no other one.
func TestSettledReferences(t *testing.T) {
	set, shelf := plainly(t, map[string]string{"secrets.enc": "db: vault:kv/data/coin/db#password@auto\n"}), newShelf()
	read, err := set.Resolve(t.Context(), shelf, secrets.Resolving{Settled: []secrets.Reading{{Path: "kv/data/coin/db", Version: 7, Auto: true}}})
	if err != nil || valueOf(t, set, "db") != "seven-canary" || len(read) != 1 || read[0].Version != 7 {
		t.Errorf("read %v, %v", read, err)
	}
}

// TestPlannedReferences asks for nothing but the newest versions, and gives no values.
func TestPlannedReferences(t *testing.T) {
	files := map[string]string{"secrets.enc": "db: vault:kv/data/coin/db#password@7\nauto: vault:kv/data/coin/db#password@auto\n"}
	set, shelf := plainly(t, files), newShelf()
	if _, err := set.Resolve(t.Context(), shelf, secrets.Resolving{Plan: true}); err != nil || !slices.Equal(shelf.asked, []string{"kv/data/coin/db@0"}) {
		t.Errorf("asked for %v, %v", shelf.asked, err)
	}
	if reference, _, _ := set.Reference("auto", ""); reference.Version != 9 || valueOf(t, set, "auto") != "" || valueOf(t, set, "db") != "" {
		t.Errorf("got %+v, or a value", reference)
	}
	set, shelf = plainly(t, files), newShelf()
	shelf.down = true
	if _, err := set.Resolve(t.Context(), shelf, secrets.Resolving{Plan: true}); err != nil {
		t.Errorf("a plan needs Vault: %v", err)
	}
	if reference, _, _ := set.Reference("auto", ""); reference.Version != 0 {
		t.Errorf("got %+v", reference)
	}
}

// TestWrongReferences wants each fault with its line, and without the value.
func TestWrongReferences(t *testing.T) {
	for text, want := range map[string]string{
		"db: vault:canary":                                  "secrets.enc:1: the value of db begins with vault:, but is not a reference to a secret in Vault",
		"db: vault:kv/data/coin/db#password":                "secrets.enc:1: the value of db begins with vault:",
		"db: vault:kv/data/../canary#password@1":            "secrets.enc:1: the value of db begins with vault:",
		"db: vault:https://evil.example/kv/data/x#canary@1": "secrets.enc:1: the value of db begins with vault:",
		"db: vault:kv/data/coin/db#password@0":              "secrets.enc:1: the value of db begins with vault:",
		"db: vault:kv/data/coin/db?version=2#canary@1":      "secrets.enc:1: the value of db begins with vault:",
		"db: vault:database/creds/canary#password@1":        "secrets.enc:1: the value of db refers to a path in Vault that is not one of data in a KV version 2 engine: a dynamic secret",
		"a: b\ndb: vault:kv/data/coin/db#password@8":        "secrets.enc:2: no version 8",
		"db: vault:kv/data/coin/db#absent@7":                `secrets.enc:1: version 7 of kv/data/coin/db in Vault has no key "absent"`,
		"db: vault:kv/data/coin/db#list@9":                  `secrets.enc:1: the key "list" in version 9 of kv/data/coin/db in Vault is not a text`,
		"db: vault:kv/data/coin/db#none@9":                  `secrets.enc:1: the key "none" in version 9 of kv/data/coin/db in Vault is empty`,
		"db: vault:kv/data/refused#x@9":                     "secrets.enc:1: not allowed",
	} {
		set, err := secrets.Seal([]secrets.File{{Path: "secrets.enc", Data: []byte(text + "\n")}}, secrets.Options{AllowPlaintext: true})
		if err == nil {
			_, err = set.Resolve(t.Context(), newShelf(), secrets.Resolving{Allowed: func(path string) error {
				if path == "kv/data/refused" {
					return fault.New(fault.Place{}, "hint", "not allowed")
				}
				return nil
			}})
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "canary") || fault.Hint(err) == "" {
			t.Errorf("%s: got %v (%s), want %s", text, err, fault.Hint(err), want)
		}
	}
}

// TestVaultAway ends at the first request, with the place of a reference.
func TestVaultAway(t *testing.T) {
	set := plainly(t, map[string]string{"secrets.enc": "a: vault:kv/data/a#x@1\nb: vault:kv/data/b#x@1\n"})
	shelf := &shelf{down: true}
	_, err := set.Resolve(t.Context(), shelf, secrets.Resolving{})
	if !fault.IsTransient(err) || len(shelf.asked) != 1 || err.Error() != "secrets.enc:1: vault does not answer" {
		t.Errorf("got %v after %v", err, shelf.asked)
	}
}

// TestReadableReference reads a reference that a SOPS file has in plaintext, without a key.
func TestReadableReference(t *testing.T) {
	file := secrets.File{Path: "secrets.enc", Data: encrypt(t, "yaml", "db_vault: vault:kv/data/coin/db#password@7\nother: x\n", append(toAge(), "--unencrypted-suffix", "_vault")...)}
	set, err := secrets.Seal([]secrets.File{file}, secrets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := set.References(); len(got) != 1 || got[0].String() != "vault:kv/data/coin/db#password@7" {
		t.Errorf("got %v", got)
	}
	opened := open(t, ageKeys(t), file)
	if _, err := opened.Resolve(t.Context(), newShelf(), secrets.Resolving{}); err != nil || valueOf(t, opened, "db_vault") != "seven-canary" {
		t.Errorf("got %v", err)
	}
}
