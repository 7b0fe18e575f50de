package secrets_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"coin.internal/coin-agent/internal/fuzzed"
	"coin.internal/coin-agent/secrets"
)

// testKeys returns the key of the files in testdata.
func testKeys(tb testing.TB) *secrets.Keyring {
	tb.Helper()
	identity, err := os.ReadFile("testdata/age.key")
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), "age.key") // git does not store mode 0600
	if err := os.WriteFile(path, identity, 0o600); err != nil {
		tb.Fatal(err)
	}
	return load(tb, secrets.KeyFiles{Age: []string{path}})
}

func testFiles(tb testing.TB) map[string][]byte {
	tb.Helper()
	paths, err := filepath.Glob("testdata/*.enc")
	if err != nil || len(paths) != 5 {
		tb.Fatalf("testdata: %v, %v", paths, err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		if files[path], err = os.ReadFile(path); err != nil {
			tb.Fatal(err)
		}
	}
	return files
}

// The files of an earlier SOPS still open.
func TestTestdataOpens(t *testing.T) {
	for path, data := range testFiles(t) {
		set := open(t, testKeys(t), secrets.File{Path: "secrets.enc", Data: data})
		if value(set, "db_access", "") != "postgres://coin@db" || set.Versions()["SV_db_access"] != "2" {
			t.Errorf("%s: %q, %v", path, value(set, "db_access", ""), set.Versions())
		}
	}
}

var plainSeeds = []string{
	"", "a: b", "a=b\nSV_a=1", `{"a": 1, "SV_a": "x", "b": [1]}`, "a: &x 1\nb: *x", "a: *a", "- 1", "---\na: b\n---\nc: d", "SV_a='", "SV_a=\"\n_VERSION=",
	"sops: 1", "sops:\n  mac: x", "sops_mac=x", "[sops]\nmac=x", `{"sops": {}, "data": "x"}`, "a: &a [*a]\nsops:\n  age: []", "a: 1\n---\nb: &b [*b]\nsops: {}\n",
	"sops:\n  lastmodified: \"2026-01-01T00:00:00Z\"\n  kms: [{context: {a: null}, created_at: \"2026-01-01T00:00:00Z\"}]\na: ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]",
}

var versionForm = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

func checkSet(t *testing.T, set *secrets.Set) {
	t.Helper()
	for name, version := range set.Versions() {
		if !versionForm.MatchString(version) {
			t.Errorf("%s is %q", name, version)
		}
	}
	if !slices.IsSorted(set.Names()) || !slices.IsSorted(set.SealedVersions()) {
		t.Error("names are not sorted")
	}
	for _, name := range set.Names() {
		set.Lookup(name, "secrets/"+name)
		_ = set.Missing(name, "secrets/"+name).Error()
	}
	set.Wipe()
}

// Format detection, the readers of SOPS and the parsing of files of keys accept any input.
func FuzzSeal(f *testing.F) {
	for _, data := range testFiles(f) {
		f.Add(data)
	}
	for _, seed := range plainSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, path := range []string{"n/secrets.override.enc", "n/secrets/x"} {
			for _, options := range []secrets.Options{{}, {AllowPlaintext: true}} {
				fuzzed.Bounded(t, func() {
					if set, err := secrets.Seal([]secrets.File{{Path: path, Data: data}}, options); err == nil {
						checkSet(t, set)
					}
				})
			}
		}
	})
}

// The content of a file of overrides: NAME=value lines, JSON or YAML, in plaintext and in
// a file that sops encrypts as a whole.
func FuzzOverrides(f *testing.F) {
	for _, seed := range append(plainSeeds, "SV_a=1\nexport b_VERSION='2'\nSV_b=auto\n# note\n", "SV_a: 1\nb_VERSION: \"2\"\nlist: [1]\nauto_version_key: 0123456789abcdef\n") {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := secrets.Seal([]secrets.File{{Path: "n/secrets.override.enc", Data: data}}, secrets.Options{AllowPlaintext: true})
		if err != nil {
			_ = err.Error()
			return
		}
		_, _ = set.AutoVersion("a", secrets.NewValue(data[:len(data)/2:len(data)/2]))
		checkSet(t, set)
	})
}

// Decryption accepts any input.
func FuzzOpen(f *testing.F) {
	for _, data := range testFiles(f) {
		f.Add(data)
	}
	for _, seed := range plainSeeds {
		f.Add([]byte(seed))
	}
	keys := testKeys(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		files := []secrets.File{{Path: "n/secrets.enc", Data: data}, {Path: "n/secrets/x.enc", Data: data}}
		fuzzed.Bounded(t, func() {
			if set, err := keys.Open(files, secrets.Options{AllowPlaintext: true}); err == nil {
				checkSet(t, set)
			}
		})
	})
}
