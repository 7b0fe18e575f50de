package secrets_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

const newValue = "canary-new \"'$#:,=\\ \n{é}\n"

// edits returns the edits of at most one key, and of versions.
func edits(values, versions map[string]string) secrets.Edits {
	all := secrets.Edits{Versions: versions}
	for key, text := range values {
		all.Key, all.Value = key, secrets.NewValue([]byte(text))
	}
	return all
}

func edit(t *testing.T, keys *secrets.Keyring, file secrets.File, what secrets.Edits) []byte {
	t.Helper()
	data, err := keys.Edit(file, what)
	if err != nil {
		t.Fatalf("edit: %v", err)
	}
	return data
}

// changedLines returns the lines that only one of two texts has, without the time of the
// change.
func changedLines(before, after []byte) (gone, come []string) {
	count := map[string]int{}
	for line := range strings.Lines(string(before)) {
		count[line]++
	}
	for line := range strings.Lines(string(after)) {
		if count[line]--; count[line] < 0 && !strings.Contains(line, "lastmodified") {
			come = append(come, line)
		}
	}
	for line := range strings.Lines(string(before)) {
		if count[line]--; count[line] >= 0 && !strings.Contains(line, "lastmodified") {
			gone = append(gone, line)
		}
	}
	return gone, come
}

// Only the lines of the value, the version, the MAC and the time change. The sops command
// can read the file.
func TestEditEveryFormatWithEveryKey(t *testing.T) {
	kinds := map[string]string{"yaml": "yaml", "json": "json", "dotenv": "dotenv", "ini": "ini"}
	for _, inner := range []string{"yaml", "json", "dotenv"} {
		kinds["binary "+inner] = inner
	}
	keys := map[string]struct {
		args  []string
		files secrets.KeyFiles
	}{
		"age":    {[]string{"--age", lab.otherAge + "," + lab.age}, secrets.KeyFiles{Age: []string{lab.path("age.key")}}},
		"ssh":    {[]string{"--age", lab.ssh + "," + lab.age}, secrets.KeyFiles{Age: []string{lab.path("ssh.key")}}},
		"pgp":    {[]string{"--pgp", lab.pgp}, secrets.KeyFiles{PGP: []string{lab.path("rsa.asc")}}},
		"locked": {[]string{"--age", lab.age, "--pgp", lab.lockedPGP}, secrets.KeyFiles{PGP: []string{lab.path("locked.asc")}, PGPPassphrase: lab.path("passphrase")}},
	}
	for keyName, key := range keys {
		ring := load(t, key.files)
		for kind, inner := range kinds {
			t.Run(keyName+"/"+kind, func(t *testing.T) {
				outer, _, _ := strings.Cut(kind, " ")
				before := encrypt(t, outer, keyedText[inner], append(key.args, "--config", "/dev/null")...)
				file := secrets.File{Path: node + "secrets.enc", Data: before}
				value := newValue
				if kind == "binary dotenv" {
					value = strings.ReplaceAll(newValue, `\ `, "")
				}
				after := edit(t, ring, file, edits(map[string]string{"db_access": value}, map[string]string{"SV_db_access": "3", "SV_added": "1"}))
				checkEdited(t, open(t, ring, secrets.File{Path: file.Path, Data: after}), value)
				gone, come := changedLines(before, after)
				want := map[string]int{"yaml": 3, "json": 3, "dotenv": 3, "ini": 3, "binary": 2}[outer]
				if added := len(come) - len(gone); len(gone) != want || added != want-2 {
					t.Errorf("removed %q, added %q", gone, come)
				}
				checkWithSOPS(t, outer, before, after)
			})
		}
	}
}

func checkEdited(t *testing.T, set *secrets.Set, wanted string) {
	t.Helper()
	want := map[string]string{"db_access": wanted, "cert": "line 1\nline 2\n", "port": "5432", "ratio": "1.5", "on": "true", "empty": ""}
	got := map[string]string{}
	for _, name := range set.Names() {
		got[name] = value(set, name, "")
	}
	got["empty"] = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"SV_db_access": "3", "SV_cert": "7", "SV_added": "1"}, set.Versions()); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}

// checkWithSOPS compares the output of the sops command for two files: comments and order
// do not change.
func checkWithSOPS(t *testing.T, kind string, before, after []byte) {
	t.Helper()
	decrypt := func(data []byte) []string {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := lab.run(lab.sops, "-d", "--input-type", kind, "--output-type", kind, path)
		if err != nil {
			t.Fatalf("sops cannot open the file: %v", err)
		}
		return strings.SplitAfter(string(out), "\n")
	}
	gone, come := changedLines([]byte(strings.Join(decrypt(before), "")), []byte(strings.Join(decrypt(after), "")))
	if kind == "ini" || kind == "json" || kind == "binary" { // the alignment changes, a comma is added, the text has one line
		return
	}
	if len(gone) != 2 || !strings.Contains(strings.Join(gone, ""), "canary-db") || !strings.Contains(strings.Join(come, ""), "SV_added") {
		t.Errorf("sops -d: removed %q, added %q", gone, come)
	}
}

// Edit keeps the layout of a file that a user wrote.
func TestEditKeepsLayout(t *testing.T) {
	text := "# first\ndb_access: canary-db # beside\nSV_db_access: 2\nother: canary-other\n"
	data := encrypt(t, "yaml", text, append(toAge(), "--unencrypted-regex", "^SV_")...)
	data = bytes.Replace(data, []byte("SV_db_access: 2\n"), []byte("# by hand, in the clear\nSV_db_access:   \"2\"   # two\n\n\n"), 1)
	top, metadata, _ := bytes.Cut(data, []byte("sops:\n"))
	data = slices.Concat(top, []byte("sops:\n"), bytes.ReplaceAll(metadata[2:], []byte("\n  "), []byte("\n")))
	keys := ageKeys(t)
	// The MAC includes the version as text, so that 2 and "2" are equal.
	open(t, keys, secrets.File{Path: node + "secrets.override.enc", Data: data})
	after := edit(t, keys, secrets.File{Path: node + "secrets.override.enc", Data: data},
		edits(map[string]string{"db_access": newValue}, map[string]string{"SV_db_access": "3", "SV_other": "1"}))
	gone, come := changedLines(data, after)
	if len(gone) != 3 || len(come) != 4 || come[1] != "SV_db_access:   \"3\"   # two\n" || come[2] != "SV_other:   \"1\"\n" {
		t.Errorf("removed %q, added %q", gone, come)
	}
}

func TestEditWholeFiles(t *testing.T) {
	cases := map[string]struct{ kind, before, after, want string }{
		"binary":      {"binary", "\x00old\n", "\x00\xffnew\n\n", "\x00\xffnew\n\n"},
		"json":        {"json", `{"a": "old", "b": [1, 2]}`, `{"a": "new", "b": [1, 2]}`, "{\n\t\"a\": \"new\",\n\t\"b\": [\n\t\t1,\n\t\t2\n\t]\n}\n"},
		"other json":  {"json", `{"a": "old"}`, `{"c": {"d": "new"}}`, "{\n\t\"c\": {\n\t\t\"d\": \"new\"\n\t}\n}\n"},
		"yaml":        {"yaml", "a: old\nb: kept\n", "# note\na: new\nb: kept\n", "# note\na: new\nb: kept\n"},
		"dotenv":      {"dotenv", "A=old\n", "A=new\nB=more\n", "A=new\nB=more\n"},
		"ini":         {"ini", "[a]\nb = old\n", "[a]\nb = new\n", "[a]\nb = new\n"},
		"binary text": {"binary", "old", "new", "new"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			file := secrets.File{Path: node + "secrets/cert.enc", Data: encrypt(t, c.kind, c.before, toAge()...)}
			keys := ageKeys(t)
			file.Data = edit(t, keys, file, secrets.Edits{Value: secrets.NewValue([]byte(c.after))})
			if got := value(open(t, keys, file), "cert", node+"secrets/cert"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestEditPartlyEncrypted(t *testing.T) {
	for name, args := range map[string][]string{
		"encrypted regex": {"--encrypted-regex", "^(db_access|cert)$"},
		"mac of those":    {"--encrypted-regex", "^(db_access|cert)$", "--mac-only-encrypted"},
		"suffix":          {"--unencrypted-suffix", "_VERSION"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "db_access: canary-db\ncert: x\ndb_access_VERSION: 9\n"
			file := secrets.File{Path: node + "secrets.override.enc", Data: encrypt(t, "yaml", text, append(toAge(), args...)...)}
			keys := ageKeys(t)
			after := edit(t, keys, file, edits(map[string]string{"db_access": newValue}, map[string]string{"SV_db_access": "10"}))
			if gone, come := changedLines(file.Data, after); len(gone) != 3 || len(come) != 3 {
				t.Errorf("removed %q, added %q", gone, come)
			}
			set := open(t, keys, secrets.File{Path: file.Path, Data: after})
			if value(set, "db_access", "") != newValue || !maps.Equal(set.Versions(), map[string]string{"SV_db_access": "10"}) {
				t.Errorf("got %q, %v", value(set, "db_access", ""), set.Versions())
			}
		})
	}
}

func TestEditFaults(t *testing.T) {
	yaml := encrypt(t, "yaml", "db_access: canary-db\n", toAge()...)
	cases := map[string]struct {
		data  []byte
		edits secrets.Edits
		want  string
	}{
		"plaintext":    {[]byte("db_access: canary-db\n"), edits(nil, nil), "not encrypted"},
		"tampered":     {bytes.Replace(yaml, []byte("type:str"), []byte("type:int"), 1), edits(nil, nil), "changed"},
		"not a key":    {yaml, edits(map[string]string{"other": "x"}, nil), `does not have the key "other"`},
		"not text":     {yaml, edits(map[string]string{"db_access": "canary\xff"}, nil), "not UTF-8 text"},
		"no JSON":      {encrypt(t, "json", `{"a": "b"}`, toAge()...), secrets.Edits{Value: secrets.NewValue([]byte("canary"))}, "is SOPS json"},
		"dotenv slash": {encrypt(t, "binary", "db_access=canary-db\n", toAge()...), edits(map[string]string{"db_access": `canary\n`}, nil), "cannot contain"},
		"plain key":    {encrypt(t, "yaml", "db_access: canary-db\nother: x\n", append(toAge(), "--encrypted-regex", "^other$")...), edits(map[string]string{"db_access": "canary-new"}, nil), `of "db_access" in plaintext`},
		"plain dotenv": {encrypt(t, "dotenv", "db_access=canary-db\nother=x\n", append(toAge(), "--unencrypted-regex", "^db_")...), edits(map[string]string{"db_access": "canary-new"}, nil), `"db_access" in plaintext`},
		"other keys":   {encrypt(t, "json", `{"a": "canary-b"}`, append(toAge(), "--encrypted-regex", "^a$")...), secrets.Edits{Value: secrets.NewValue([]byte(`{"b": "canary-c"}`))}, "in plaintext"},
		"plain file":   {encrypt(t, "json", `{"a": "canary-b"}`, append(toAge(), "--encrypted-regex", "^none$")...), secrets.Edits{Value: secrets.NewValue([]byte(`{"a": "canary-c"}`))}, "in plaintext"},
		"others' key":  {encrypt(t, "yaml", "db_access: canary-db\n", "--config", "/dev/null", "--age", lab.otherAge), edits(nil, nil), "no key opens"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := ageKeys(t).Edit(secrets.File{Path: node + "secrets.enc", Data: c.data}, c.edits)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") || fault.Hint(err) == "" {
				t.Errorf("got %v (%s)", err, fault.Hint(err))
			}
		})
	}
}

func TestLocate(t *testing.T) {
	keys := ageKeys(t)
	set := open(t, keys,
		secrets.File{Path: node + "secrets.enc", Data: encrypt(t, "yaml", "a: one\nb: two\nSV_b: 4\n", toAge()...)},
		secrets.File{Path: node + "secrets.override.enc", Data: encrypt(t, "yaml", "b: three\nSV_a: 2\n", toAge()...)},
		secrets.File{Path: node + "secrets/c.enc", Data: encrypt(t, "binary", "two", toAge()...)})
	for name, want := range map[string]secrets.Location{
		"a": {File: node + "secrets.enc", Key: "a"}, "b": {File: node + "secrets.override.enc", Key: "b"}, "c": {File: node + "secrets/c.enc"},
	} {
		found, _ := set.Lookup(name, node+"secrets/"+name)
		if got, ok := set.Locate(found); !ok || got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]string{"SV_a": "secrets.override.enc", "SV_b": "secrets.enc", "SV_c": ""} {
		if file, ok := set.VersionFile(name); ok != (want != "") || ok && file != node+want {
			t.Errorf("%s: got %q", name, file)
		}
	}
}

func TestWithoutLineBreak(t *testing.T) {
	for name, c := range map[string]struct{ given, replaced, want string }{
		"none": {"a", "b", "a"}, "one": {"a\n", "b", "a"}, "Windows": {"a\r\n", "b", "a"}, "two": {"a\n\n", "b", "a\n"},
		"as before": {"a\n", "b\n", "a\n"}, "binary": {"\x00a\n", "b", "\x00a\n"}, "not UTF-8": {"\xff\n", "b", "\xff\n"},
	} {
		got, taken := secrets.NewValue([]byte(c.given)).WithoutLineBreak(secrets.NewValue([]byte(c.replaced)))
		if string(got.Reveal()) != c.want || taken != (c.given != c.want) {
			t.Errorf("%s: got %q, %v", name, got.Reveal(), taken)
		}
	}
}
