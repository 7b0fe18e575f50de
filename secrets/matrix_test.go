package secrets_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/secrets"
)

// matrix records and prints the coverage of a table test.
type matrix struct {
	mu   sync.Mutex
	cell map[string]map[string]bool // by row and column; true if the file opened
}

func (m *matrix) set(row, column string, opened bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cell[row] == nil {
		m.cell[row] = map[string]bool{}
	}
	m.cell[row][column] = opened
}

func (m *matrix) String() string {
	var columns []string
	for _, row := range m.cell {
		columns = slices.AppendSeq(columns, maps.Keys(row))
	}
	slices.Sort(columns)
	columns = slices.Compact(columns)
	text := fmt.Sprintf("\n%-28s %s\n", "", strings.Join(columns, "  "))
	for _, name := range slices.Sorted(maps.Keys(m.cell)) {
		text += fmt.Sprintf("%-28s", name)
		for _, column := range columns {
			mark := "-"
			if opened, tried := m.cell[name][column]; opened {
				mark = "opens"
			} else if tried {
				mark = "FAILS"
			}
			text += fmt.Sprintf(" %-*s ", len(column), mark)
		}
		text += "\n"
	}
	return text
}

// keyKind is one way to encrypt with the sops command, and the keys to open it.
type keyKind struct {
	args    []string
	files   secrets.KeyFiles
	rotated bool // the data key is rotated afterwards
}

func keyKinds(t *testing.T) map[string]keyKind {
	t.Helper()
	ages := func(names ...string) (files secrets.KeyFiles) {
		for _, name := range names {
			files.Age = append(files.Age, lab.path(name))
		}
		return files
	}
	pgp := func(name string) secrets.KeyFiles { return secrets.KeyFiles{PGP: []string{lab.path(name)}} }
	locked, home, lockedHome := pgp("locked.asc"), secrets.KeyFiles{GnuPGHome: lab.home}, secrets.KeyFiles{GnuPGHome: lab.home}
	locked.PGPPassphrase, lockedHome.PGPPassphrase = lab.path("passphrase"), lab.path("passphrase")
	mixed := ages("other.key")
	mixed.PGP = pgp("rsa.asc").PGP
	kinds := map[string]keyKind{
		"age":                     {args: []string{"--age", lab.age}, files: ages("age.key")},
		"age, second of two":      {args: []string{"--age", lab.otherAge + "," + lab.age}, files: ages("age.key")},
		"age, rotated data key":   {args: []string{"--age", lab.age}, files: ages("age.key"), rotated: true},
		"SSH ed25519":             {args: []string{"--age", lab.ssh}, files: ages("ssh.key")},
		"SSH RSA":                 {args: []string{"--age", lab.rsa}, files: ages("sshrsa.key")},
		"PGP RSA, armored":        {args: []string{"--pgp", lab.pgp}, files: pgp("rsa.asc")},
		"PGP RSA, binary":         {args: []string{"--pgp", lab.pgp}, files: pgp("rsa.gpg")},
		"PGP RSA, subkeys":        {args: []string{"--pgp", lab.pgp}, files: pgp("rsa.sub.asc")},
		"PGP curve":               {args: []string{"--pgp", lab.curvePGP}, files: pgp("curve.asc")},
		"PGP with passphrase":     {args: []string{"--pgp", lab.lockedPGP}, files: locked},
		"GnuPG home":              {args: []string{"--pgp", lab.curvePGP}, files: home},
		"GnuPG home, passphrase":  {args: []string{"--pgp", lab.lockedPGP}, files: lockedHome},
		"age and PGP, by age":     {args: []string{"--age", lab.age, "--pgp", lab.pgp}, files: ages("age.key")},
		"age and PGP, by PGP":     {args: []string{"--age", lab.age, "--pgp", lab.pgp}, files: pgp("rsa.asc")},
		"2 of 3 groups, ages":     {args: []string{"--config", groupsRule(t)}, files: ages("age.key", "other.key")},
		"2 of 3 groups, age, PGP": {args: []string{"--config", groupsRule(t)}, files: mixed},
	}
	for name, kind := range kinds {
		if !slices.Contains(kind.args, "--config") {
			kind.args = append(kind.args, "--config", "/dev/null")
		}
		kinds[name] = kind
	}
	return kinds
}

// groupsRule returns a .sops.yaml with three key groups, of which two are required.
func groupsRule(t *testing.T) string {
	t.Helper()
	return rules(t, "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n"+
		"      - age: ["+lab.age+"]\n      - age: ["+lab.otherAge+"]\n      - pgp: ["+lab.pgp+"]\n")
}

func rules(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".sops.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Files of the real sops command open in each format with each kind of key.
func TestOpenEveryFormatWithEveryKey(t *testing.T) {
	formats := map[string]string{"yaml": "yaml", "json": "json", "dotenv": "dotenv", "ini": "ini"}
	for _, inner := range []string{"yaml", "json", "dotenv"} {
		formats["binary "+inner] = inner
	}
	covered := &matrix{cell: map[string]map[string]bool{}}
	t.Run("cell", func(t *testing.T) {
		for name, kind := range keyKinds(t) {
			ring := load(t, kind.files)
			for format, inner := range formats {
				t.Run(name+"/"+format, func(t *testing.T) {
					t.Parallel()
					covered.set(name, format, false)
					outer, _, _ := strings.Cut(format, " ")
					data := encrypt(t, outer, keyedText[inner], kind.args...)
					if kind.rotated {
						data = rotate(t, outer, data)
					}
					checkKeyed(t, open(t, ring, secrets.File{Path: node + "secrets.enc", Data: data}))
					covered.set(name, format, !t.Failed())
				})
			}
		}
	})
	t.Log(covered)
}

// rotate returns the output of `sops rotate` for a file, with another data key.
func rotate(t *testing.T, format string, data []byte) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := lab.run(lab.sops, "--config", "/dev/null", "rotate", "--input-type", format, "--output-type", format, path)
	if err != nil {
		t.Fatal(err)
	}
	if string(out) == string(data) {
		t.Fatal("sops did not rotate the data key")
	}
	return out
}

// partly lists the ways in which sops keeps a part of a file in plaintext. In each of them
// db_access is encrypted, and SV_db_access is not.
func partly() map[string][]string {
	return map[string][]string{
		"encrypted_regex":           {"--encrypted-regex", "^(db_access|cert)$"},
		"unencrypted_regex":         {"--unencrypted-regex", "^SV_"},
		"encrypted_suffix":          {"--encrypted-suffix", "_access_"},
		"unencrypted_suffix":        {"--unencrypted-suffix", "_open"},
		"encrypted_comment_regex":   {"--encrypted-comment-regex", "seal this"},
		"unencrypted_comment_regex": {"--unencrypted-comment-regex", "keep open"},
		"mac_only_encrypted":        {"--unencrypted-regex", "^SV_", "--mac-only-encrypted"},
	}
}

var partlyText = map[string]string{
	"yaml":   "# seal this\ndb_access: canary-db\n# keep open\nSV_db_access: 2\n",
	"dotenv": "# seal this\ndb_access=canary-db\n# keep open\nSV_db_access=2\n",
	"ini":    "[s]\n; seal this\na = x\ndb_access = canary-db\n[v]\n; keep open\nb = x\nSV_db_access = 2\n", // in INI, sops moves a comment behind its key
	"json":   `{"db_access": "canary-db", "SV_db_access": 2}`,
}

// partlyNames returns the names that a rule needs: suffixes are part of a name.
func partlyNames(rule, text string) (secret, version, renamed string) {
	secret, version = "db_access", "SV_db_access"
	switch rule {
	case "encrypted_suffix":
		secret, version = "db_access_", "SV_db"
	case "unencrypted_suffix":
		secret, version = "db_access", "SV_db_open"
	}
	renamed = strings.NewReplacer("SV_db_access", version, "db_access", secret).Replace(text)
	return secret, version, renamed
}

// A file with other values in plaintext opens in each format.
func TestOpenPartlyEncrypted(t *testing.T) {
	covered := &matrix{cell: map[string]map[string]bool{}}
	for rule, args := range partly() {
		for format, text := range partlyText {
			if format == "json" && strings.Contains(rule, "comment") {
				continue // JSON has no comments
			}
			t.Run(rule+"/"+format, func(t *testing.T) {
				covered.set(rule, format, false)
				secret, version, text := partlyNames(rule, text)
				data := encrypt(t, format, text, append(toAge(), args...)...)
				if !strings.Contains(string(data), version) || strings.Contains(string(data), "canary-db") {
					t.Fatalf("sops wrote a different file:\n%s", data)
				}
				files := []secrets.File{{Path: node + "secrets.enc", Data: data}}
				set := open(t, ageKeys(t), files...)
				if got := value(set, secret, ""); got != "canary-db" {
					t.Errorf("%s is %q", secret, got)
				}
				if diff := cmp.Diff(map[string]string{version: "2"}, set.Versions()); diff != "" {
					t.Errorf("versions (-want +got):\n%s", diff)
				}
				sealed, err := secrets.Seal(files, secrets.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if got := value(sealed, secret, ""); got != "(sealed)" || sealed.Versions()[version] != "2" {
					t.Errorf("without keys: %s, versions %v", got, sealed.Versions())
				}
				covered.set(rule, format, !t.Failed())
			})
		}
	}
	t.Log(covered)
}

// sops uses the first rule of .sops.yaml that matches the path.
func TestRulesPerPath(t *testing.T) {
	config := rules(t, "creation_rules:\n"+
		"  - path_regex: nodes/node3/\n    age: "+lab.age+"\n    unencrypted_regex: ^SV_\n"+
		"  - path_regex: nodes/\n    pgp: "+lab.curvePGP+"\n")
	rings := map[string]*secrets.Keyring{"node3": ageKeys(t), "node4": load(t, secrets.KeyFiles{GnuPGHome: lab.home})}
	for name, ring := range rings {
		path := filepath.Join(filepath.Dir(config), "nodes", name, "secrets.enc")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("a: "+name+"\nSV_a: 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		data, err := lab.run(lab.sops, "--config", config, "-e", "--input-type", "yaml", "--output-type", "yaml", path)
		if err != nil {
			t.Fatal(err)
		}
		if plain := strings.Contains(string(data), "SV_a: 1"); plain != (name == "node3") {
			t.Errorf("%s: the version is readable: %t", name, plain)
		}
		for other, ring2 := range rings {
			_, err := ring2.Open([]secrets.File{{Path: node + "secrets.enc", Data: data}}, secrets.Options{})
			if (err == nil) != (other == name) {
				t.Errorf("%s with the key of %s: %v", name, other, err)
			}
		}
		if got := value(open(t, ring, secrets.File{Path: node + "secrets.enc", Data: data}), "a", ""); got != name {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// One of two required key groups is not enough, and the error names all.
func TestKeyGroupsMissing(t *testing.T) {
	data := encrypt(t, "yaml", keyedText["yaml"], "--config", groupsRule(t))
	_, err := ageKeys(t).Open([]secrets.File{{Path: node + "secrets.enc", Data: data}}, secrets.Options{})
	if err == nil {
		t.Fatal("the file opened with one of two key groups")
	}
	for _, part := range []string{"2 of 3 key groups", lab.age, lab.otherAge, lab.pgp, "keys tried: " + lab.age} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in: %v", part, err)
		}
	}
}
