package secrets_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

func TestLookupOrder(t *testing.T) {
	file := func(name, kind, text string) secrets.File {
		return secrets.File{Path: node + name, Data: encrypt(t, kind, text, toAge()...)}
	}
	sources := []secrets.File{ // the first takes precedence
		file("secrets/db_access.txt.enc", "binary", "whole .enc"),
		file("secrets/db_access.txt", "binary", "whole"),
		file("secrets.override.enc", "yaml", "db_access: key in override"),
		file("secrets.enc", "dotenv", "db_access=key in secrets"),
		file("secrets.override.enc", "binary", `db_access.txt: base name in override`),
		file("secrets.enc", "json", `{"db_access.txt": "base name in secrets"}`),
	}
	want := []string{"whole .enc", "whole", "key in override", "key in secrets", "base name in override", "base name in secrets"}
	for first := range sources {
		files := append([]secrets.File(nil), sources[first:]...)
		for left, right := 0, len(files)-1; left < right; left, right = left+1, right-1 {
			files[left], files[right] = files[right], files[left] // the order of files does not matter
		}
		set := open(t, ageKeys(t), files...)
		if got := value(set, "db_access", "./"+node+"secrets/db_access.txt"); got != want[first] {
			t.Errorf("got %q, want %q", got, want[first])
		}
	}
	set := open(t, ageKeys(t), sources[0])
	if got := value(set, "db_access", ""); got != "(none)" {
		t.Errorf("Lookup without a file found a whole file: %q", got)
	}
	missing := set.Missing("other", node+"secrets/other")
	for _, part := range []string{`"other"`, node + "secrets/other.enc", "the key other in secrets.override.enc and secrets.enc"} {
		if !strings.Contains(missing.Error(), part) {
			t.Errorf("%q is missing in: %v", part, missing)
		}
	}
}

func TestPlaintextIsRefused(t *testing.T) {
	decrypted := "a: " + canary + "\nSV_a: 3\n"
	sealedText := string(encrypt(t, "yaml", "a: b\nnumber: 5\n", toAge()...))
	start := strings.Index(sealedText, "ENC[")
	byHand := sealedText[:start] + canary + sealedText[start+strings.Index(sealedText[start:], "\n"):]
	start = strings.Index(sealedText, "number: ") + len("number: ")
	number := sealedText[:start] + "73571" + sealedText[start+strings.Index(sealedText[start:], "\n"):]
	cases := map[string]struct {
		file secrets.File
		want string
	}{
		"whole file":       {secrets.File{Path: node + "secrets/key.pem", Data: []byte(canary)}, "is not encrypted"},
		"named as if":      {secrets.File{Path: node + "secrets/key.enc", Data: []byte(canary)}, "is not encrypted"},
		"keys":             {secrets.File{Path: node + "secrets.enc", Data: []byte(decrypted)}, "is not encrypted"},
		"dotenv keys":      {secrets.File{Path: node + "secrets.override.enc", Data: []byte("a=" + canary)}, "is not encrypted"},
		"json keys":        {secrets.File{Path: node + "secrets.enc", Data: []byte(`{"a": "` + canary + `"}`)}, "is not encrypted"},
		"value by hand":    {secrets.File{Path: node + "secrets.enc", Data: []byte(byHand)}, `"a" should be encrypted`},
		"number by hand":   {secrets.File{Path: node + "secrets.enc", Data: []byte(number)}, "should be encrypted"},
		"merge conflict":   {secrets.File{Path: node + "secrets.enc", Data: []byte("<<<<<<< ours\n" + sealedText + ">>>>>>> " + canary)}, "not valid SOPS"},
		"malformed json":   {secrets.File{Path: node + "secrets.enc", Data: []byte(`{"a": ` + canary + `, "sops": {}}`)}, "not valid SOPS"},
		"malformed dotenv": {secrets.File{Path: node + "secrets.enc", Data: []byte("sops_mac=x\n" + canary + "\n")}, "not valid SOPS"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, sealErr := secrets.Seal([]secrets.File{test.file}, secrets.Options{})
			_, openErr := ageKeys(t).Open([]secrets.File{test.file}, secrets.Options{})
			for how, err := range map[string]error{"Seal": sealErr, "Open": openErr} {
				if err == nil {
					t.Errorf("%s accepts it", how)
					continue
				}
				if !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), test.file.Path) || fault.Hint(err) == "" {
					t.Errorf("%s: error %q, hint %q", how, err, fault.Hint(err))
				}
				mustHide(t, how, err.Error()+fault.Hint(err))
				if strings.Contains(err.Error(), "73571") {
					t.Errorf("%s quotes the number: %v", how, err)
				}
			}
		})
	}
}

func TestPlaintextIsAdmittedOnDemand(t *testing.T) {
	files := []secrets.File{
		{Path: node + "secrets/key.pem", Data: []byte("pem")},
		{Path: node + "secrets/empty"},
		{Path: node + "secrets/.gitignore", Data: []byte("*.bak")},
		{Path: node + "secrets.enc", Data: []byte("a: 0123\nSV_a: 3\nanchored: &x text\nalias: *x\nlist: [1]\n")},
		{Path: node + "secrets.override.enc", Data: []byte("export b=1=2\n# note\nSV_a='4'\n")},
	}
	set, err := ageKeys(t).Open(files, secrets.Options{AllowPlaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "0123", "b": "1=2", "anchored": "text", "alias": "text", "list": "(none)"} {
		if got := value(set, name, ""); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := value(set, "", node+"secrets/key.pem"); got != "pem" {
		t.Errorf("key.pem: got %q", got)
	}
	if diff := cmp.Diff(map[string]string{"SV_a": "4"}, set.Versions()); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if missing := set.Missing("list", ""); !strings.Contains(missing.Error(), "mapping or a list") {
		t.Errorf("missing: %v", missing)
	}
	files = files[:3]
	if _, err := secrets.Seal(files[1:], secrets.Options{}); err != nil {
		t.Errorf("empty and git's own files: %v", err)
	}
}

// A rule that encrypts only some keys: the others are readable in git, and are not
// secrets.
func TestPartlyEncrypted(t *testing.T) {
	text := "password: canary\nDATABASE_PASSWORD: " + canary + "\nSV_password: 4\nnested:\n  password: x\n"
	for _, rule := range [][]string{{"--encrypted-regex", "^(password|secret)$"}, {"--encrypted-regex", "^(password|secret)$", "--mac-only-encrypted"}, {"--encrypted-suffix", "ssword"}} {
		file := secrets.File{Path: node + "secrets.enc", Data: encrypt(t, "yaml", text, append(toAge(), rule...)...)}
		set := open(t, ageKeys(t), file)
		if got := value(set, "password", ""); got != "canary" {
			t.Errorf("%v: got %q", rule, got)
		}
		if got := value(set, "DATABASE_PASSWORD", ""); got != "(none)" {
			t.Errorf("%v: Lookup returned a plaintext secret", rule)
		}
		missing := set.Missing("DATABASE_PASSWORD", "")
		if missing.Place.Line != 2 || !strings.Contains(missing.Error(), "is not encrypted in the file") {
			t.Errorf("%v: missing: %v", rule, missing)
		}
		mustHide(t, "Missing", missing.Error()+missing.Hint)
		if diff := cmp.Diff(map[string]string{"SV_password": "4"}, set.Versions()); diff != "" {
			t.Errorf("versions (-want +got):\n%s", diff)
		}
		set, err := ageKeys(t).Open([]secrets.File{file}, secrets.Options{AllowPlaintext: true})
		if err != nil || value(set, "DATABASE_PASSWORD", "") != canary {
			t.Errorf("%v: with AllowPlaintext: %v", rule, err)
		}
	}
}

// TestWholeFilesWithoutASecret: an empty file has none, and one of which no rule encrypts a value is in
// plaintext. Both are seen without a key.
func TestWholeFilesWithoutASecret(t *testing.T) {
	empty := secrets.File{Path: node + "secrets/db.enc", Data: encrypt(t, "binary", "", toAge()...)}
	readable := secrets.File{Path: node + "secrets/db.enc", Data: encrypt(t, "yaml", "login: "+canary+"\n", append(toAge(), "--encrypted-regex", "^password$")...)}
	for name, open := range map[string]func([]secrets.File, secrets.Options) (*secrets.Set, error){"open": ageKeys(t).Open, "sealed": secrets.Seal} {
		set, err := open([]secrets.File{empty}, secrets.Options{})
		if err != nil || value(set, "db", node+"secrets/db") != "(none)" {
			t.Fatalf("%s: the empty file is a secret, or %v", name, err)
		}
		if missing := set.Missing("db", node+"secrets/db"); !strings.Contains(missing.Error(), "its file is empty") {
			t.Errorf("%s: missing: %v", name, missing)
		}
		_, err = open([]secrets.File{readable}, secrets.Options{})
		if err == nil || !strings.Contains(err.Error(), "the file is not encrypted: its rules encrypt no value") {
			t.Errorf("%s: got %v", name, err)
		}
		mustHide(t, name, fmt.Sprint(err))
		if _, err = open([]secrets.File{readable}, secrets.Options{AllowPlaintext: true}); err != nil {
			t.Errorf("%s: with AllowPlaintext: %v", name, err)
		}
	}
	found := scan(t, map[string]string{readable.Path: string(readable.Data)}, nil)
	if len(found) != 1 || !strings.HasSuffix(found[0], "the file is not encrypted: its rules encrypt no value") {
		t.Errorf("scan: %v", found)
	}
	if found := scan(t, map[string]string{readable.Path: string(readable.Data)}, func(string) bool { return true }); len(found) != 0 {
		t.Errorf("scan with allow_plaintext_secrets: %v", found)
	}
}

// TestWindowsLineBreaks: a version in a dotenv file is read without the half line break that sops
// leaves at its end; a secret keeps each byte.
func TestWindowsLineBreaks(t *testing.T) {
	set := open(t, ageKeys(t), secrets.File{Path: node + "secrets.enc", Data: encrypt(t, "dotenv", "db=x\r\nSV_db=3\r\n", toAge()...)})
	found, _ := set.Lookup("db", "")
	if diff := cmp.Diff(map[string]string{"SV_db": "3"}, set.Versions()); diff != "" || !found.EndsInReturn() || found.Len() != 2 {
		t.Errorf("versions (-want +got):\n%s\nthe value has %d bytes", diff, found.Len())
	}
}

func TestSeal(t *testing.T) {
	regex := append(toAge(), "--unencrypted-regex", "^SV_")
	files := []secrets.File{
		{Path: node + "secrets.enc", Data: encrypt(t, "yaml", "db: x\nSV_db: 3\nfoo_VERSION: 2\nempty: \"\"\n", regex...)},
		{Path: node + "secrets/card_iv.txt.enc", Data: encrypt(t, "binary", "x", toAge()...)},
	}
	set, err := secrets.Seal(files, secrets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"db": "(sealed)", "card_iv": "(none)", "empty": "(none)"} {
		if got := value(set, name, ""); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := value(set, "card_iv", node+"secrets/card_iv.txt"); got != "(sealed)" {
		t.Errorf("card_iv: got %q", got)
	}
	if diff := cmp.Diff([]string{"card_iv.txt", "db"}, set.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"SV_db": "3"}, set.Versions()); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"SV_foo"}, set.SealedVersions()); diff != "" {
		t.Errorf("sealed versions (-want +got):\n%s", diff)
	}
	db, _ := set.Lookup("db", "")
	if _, err := set.AutoVersion("db", db); !errors.Is(err, secrets.ErrSealed) {
		t.Errorf("auto of a sealed value: %v", err)
	}
}

// The keys of a sealed binary file are unknown, so that no secret is reported as missing.
func TestSealOpaque(t *testing.T) {
	path := node + "secrets.override.enc"
	set, err := secrets.Seal([]secrets.File{{Path: path, Data: encrypt(t, "binary", "db: x\nSV_db: 3\n", toAge()...)}}, secrets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := value(set, "db", ""); got != "(sealed)" {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff([]string{path}, set.Opaque()); diff != "" {
		t.Errorf("opaque (-want +got):\n%s", diff)
	}
}

func TestWipe(t *testing.T) {
	set := open(t, ageKeys(t), secrets.File{Path: node + "secrets.enc", Data: encrypt(t, "yaml", "a: "+canary, toAge()...)},
		secrets.File{Path: node + "secrets/b.enc", Data: encrypt(t, "binary", canary, toAge()...)})
	a, _ := set.Lookup("a", "")
	b, _ := set.Lookup("b", node+"secrets/b")
	contents := [][]byte{a.Reveal(), b.Reveal()}
	set.Wipe()
	for _, content := range contents {
		if strings.Trim(string(content), "\x00") != "" {
			t.Errorf("%q is left", content)
		}
	}
	if a.Known() || b.Known() {
		t.Error("a wiped value is known")
	}
}

// TestFolders has the same secret and version in two folders: of files with the same name the
// one in the later folder counts, and the override file before both.
func TestFolders(t *testing.T) {
	const stack = node + "business/"
	folders := secrets.Options{AllowPlaintext: true, Folders: []string{strings.TrimSuffix(node, "/"), strings.TrimSuffix(stack, "/")}}
	plain := func(name, text string) secrets.File { return secrets.File{Path: name, Data: []byte(text)} }
	sources := []struct {
		file   secrets.File
		secret string // the value of the secret db
		whole  string // and that of the one whose file is secrets/whole
		SV     string
	}{ // the first takes precedence
		{plain(stack+"secrets/whole", "of the stack"), "stack override", "of the stack", "4"},
		{plain(node+"secrets/whole.enc", "of the node"), "stack override", "of the node", "4"},
		{plain(stack+"secrets.override.enc", "db: stack override\nSV_db: 4\n"), "stack override", "(none)", "4"},
		{plain(node+"secrets.override.enc", "db: node override\nSV_db: 3\n"), "node override", "(none)", "3"},
		{plain(stack+"secrets.enc", "db: of the stack\nSV_db: 2\n"), "of the stack", "(none)", "2"},
		{plain(node+"secrets.enc", "db: of the node\nSV_db: 1\n"), "of the node", "(none)", "1"},
	}
	for first, want := range sources {
		var files []secrets.File
		for _, source := range sources[first:] {
			files = append(files, source.file)
		}
		set, err := secrets.Seal(files, folders)
		if err != nil {
			t.Fatal(err)
		}
		whole := value(set, "whole", stack+"secrets/whole")
		if got := value(set, "db", stack+"secrets/db"); got != want.secret || whole != want.whole || set.Versions()["SV_db"] != want.SV {
			t.Errorf("from %s on: got %q, %q and version %q", want.file.Path, got, whole, set.Versions()["SV_db"])
		}
	}
	set, err := secrets.Seal(nil, folders)
	if err != nil {
		t.Fatal(err)
	}
	if missing := set.Missing("db", stack+"secrets/db"); !strings.Contains(missing.Error(), stack+"secrets/db, "+node+"secrets/db.enc, "+node+"secrets/db, the key db") {
		t.Errorf("the places are not listed in: %v", missing)
	}
}
