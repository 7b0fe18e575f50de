package secrets_test

import (
	"bytes"
	"flag"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

var tamperText = map[string]string{
	"yaml": "# note\na: " + canary + "\nSV_a: 11\nn: 1.5\n", "json": `{"a": "` + canary + `", "SV_a": 11, "n": 1.5}`,
	"dotenv": "# note\na=" + canary + "\nSV_a=11\nn=1.5\n", "ini": "[x]\n; note\na = " + canary + "\nSV_a = 11\nn = 1.5\n",
	"binary": "a: " + canary + "\nSV_a: 11\nn: 1.5\n",
}

// A file with one changed byte is refused, or gives exactly the same result: some bytes
// have no meaning, such as those of another recipient or a date in the metadata. The text
// of an error never quotes the content.
func TestTamperedByteIsRefused(t *testing.T) {
	recipients := map[string]struct {
		args []string
		keys *secrets.Keyring
		path string
	}{
		"age":        {[]string{"--age", lab.age}, ageKeys(t), "secrets.enc"},
		"pgp":        {[]string{"--pgp", lab.curvePGP}, load(t, secrets.KeyFiles{PGP: []string{lab.path("curve.asc")}}), "secrets.enc"},
		"whole file": {[]string{"--age", lab.age}, ageKeys(t), "secrets/x.enc"},
		"partly":     {[]string{"--age", lab.age, "--unencrypted-regex", "^SV_"}, ageKeys(t), "secrets.enc"},
		"mac only":   {[]string{"--age", lab.age, "--unencrypted-regex", "^SV_", "--mac-only-encrypted"}, ageKeys(t), "secrets.enc"},
	}
	for who, recipient := range recipients {
		for kind, text := range tamperText {
			t.Run(who+"/"+kind, func(t *testing.T) {
				t.Parallel()
				data := encrypt(t, kind, text, append(recipient.args, "--config", "/dev/null")...)
				uncovered := plainVersions(data, who)
				want := content(t, recipient.keys, recipient.path, data)
				tried, refused, step := 0, 0, sample(who)
				for index := range data {
					for _, mask := range []byte{0x01, 0x20, 0x80} {
						if mask > 1 && index%11 != 0 || index%step != 0 {
							continue // a dense sample
						}
						changed := bytes.Clone(data)
						changed[index] ^= mask
						tried++
						switch got := content(t, recipient.keys, recipient.path, changed); {
						case got == "":
							refused++
						case got != want && !uncovered[index]:
							t.Errorf("byte %d, changed by %#x, gives other content:\n%s\n%s", index, mask, got, changed)
						}
					}
				}
				if refused < tried/2 {
					t.Errorf("only %d of %d changed bytes were detected", refused, tried)
				}
				for length := 0; length < len(data)-1; length += 29 {
					if got := content(t, recipient.keys, recipient.path, data[:length]); length > 0 && got != "" && got != want {
						t.Errorf("cut to %d bytes it gives other content: %s", length, got)
					}
				}
			})
		}
	}
}

// everyByte takes minutes: go test ./secrets -run TestTamperedByteIsRefused -every-byte
var everyByte = flag.Bool("every-byte", false, "change each byte of the encrypted files, not a sample")

// sample is the distance of the bytes that are changed.
func sample(who string) int {
	switch {
	case *everyByte:
		return 1
	case who == "age":
		return 4
	}
	return 12
}

// plainVersions reports which bytes the MAC of SOPS does not cover: the names of plaintext
// keys, and with mac_only_encrypted their values.
func plainVersions(data []byte, who string) map[int]bool {
	form := regexp.MustCompile(`"?SV_a"?\s*[:=]\s*`)
	if who == "mac only" {
		form = regexp.MustCompile(`"?SV_a"?\s*[:=]\s*11`)
	}
	bytes := map[int]bool{}
	if at := form.FindIndex(data); at != nil && (who == "partly" || who == "mac only") {
		for index := at[0]; index < at[1]; index++ {
			bytes[index] = true
		}
	}
	return bytes
}

// content returns the whole content of a file in one text, or "" if it is refused. It
// keeps the secrets, which the MAC always covers, separate from the versions.
func content(t *testing.T, keys *secrets.Keyring, path string, data []byte) string {
	t.Helper()
	set, err := keys.Open([]secrets.File{{Path: node + path, Data: data}}, secrets.Options{})
	if err != nil {
		mustHide(t, "error", err.Error()+fault.Hint(err))
		return ""
	}
	text := fmt.Sprintf("%q %v", value(set, "x", node+"secrets/x"), set.Versions())
	for _, name := range set.Names() {
		text += fmt.Sprintf(" %s=%q", name, value(set, name, ""))
	}
	if path == "secrets.enc" && len(data) > 0 && (value(set, "a", "") != canary || value(set, "n", "") != "1.5" || len(set.Names()) != 2) {
		t.Errorf("a changed file gives other secrets: %s", text)
	}
	return text
}

// Changes of more than one byte: values that are moved, removed, added or copied from
// another file.
func TestTamperedStructureIsRefused(t *testing.T) {
	text := "# note\na: " + canary + "\nb: other\nSV_a: 11\nSV_b: 12\n"
	data := string(encrypt(t, "yaml", text, append(toAge(), "--unencrypted-regex", "^SV_")...))
	foreign := string(encrypt(t, "yaml", text, append(toAge(), "--unencrypted-regex", "^SV_")...))
	lines := strings.SplitAfter(data, "\n")[1:]
	encrypted := regexp.MustCompile(`[^#](ENC\[.*\])`).FindAllString(data, 3)
	foreigns := regexp.MustCompile(`[^#](ENC\[.*\])`).FindAllString(foreign, 3)
	cases := map[string]string{
		"two values swapped":   strings.NewReplacer(encrypted[0], encrypted[1], encrypted[1], encrypted[0]).Replace(data),
		"two lines swapped":    lines[1] + lines[0] + strings.Join(lines[2:], ""),
		"a line left out":      strings.Join(lines[1:], ""),
		"a version left out":   strings.Replace(data, lines[2], "", 1),
		"a version changed":    strings.Replace(data, "SV_a: 11", "SV_a: 10", 1),
		"a version added":      "SV_c: 1\n" + data,
		"a value in plaintext": strings.Replace(data, encrypted[0], canary, 1),
		"a value blanked":      strings.Replace(data, encrypted[0], `""`, 1),
		"a rule that opens it": strings.Replace(data, "unencrypted_regex: ^SV_", "unencrypted_regex: ^(SV_|a)", 1),
		"a foreign value":      strings.Replace(data, encrypted[0], foreigns[0], 1),
		"a foreign MAC":        strings.Replace(data, encrypted[2], foreigns[2], 1),
		"no MAC":               strings.Replace(data, encrypted[2], `""`, 1),
		"more behind a value":  strings.Replace(data, encrypted[0], encrypted[0]+"x", 1),
		"a changed comment":    strings.Replace(data, "#ENC[AES256_GCM,data:", "#ENC[AES256_GCM,data:AA", 1),
		"as a comment":         strings.Replace(data, encrypted[0], strings.Replace(encrypted[0], "type:str", "type:comment", 1), 1),
	}
	for name, changed := range cases {
		t.Run(name, func(t *testing.T) {
			if changed == data {
				t.Fatal("the file did not change")
			}
			_, err := ageKeys(t).Open([]secrets.File{{Path: node + "secrets.enc", Data: []byte(changed)}}, secrets.Options{})
			if err == nil {
				t.Fatalf("the changed file opened:\n%s", changed)
			}
			mustHide(t, "error", err.Error()+fault.Hint(err))
		})
	}
}

// SOPS does not encrypt empty values, and its MAC does not cover nulls. They are not
// secrets, so that an added one does not hide another.
func TestAddedEmptyValuesHideNothing(t *testing.T) {
	files := []secrets.File{{Path: node + "secrets.enc", Data: encrypt(t, "yaml", "a: "+canary+"\n", toAge()...)}}
	override := string(encrypt(t, "yaml", "b: other\n", toAge()...))
	for _, added := range []string{"a: \"\"\n", "a: null\n", "a: {}\n", "a: []\n"} {
		set := open(t, ageKeys(t), append(files, secrets.File{Path: node + "secrets.override.enc", Data: []byte(added + override)})...)
		if got := value(set, "a", ""); got != canary {
			t.Errorf("%q: a is %q", added, got)
		}
		if diff := strings.Join(set.Names(), " "); diff != "a b" {
			t.Errorf("%q: names %s", added, diff)
		}
	}
}

// A whole file includes its comments, which the MAC does not cover. An unencrypted comment
// is refused.
func TestAddedCommentIsRefused(t *testing.T) {
	for kind, text := range map[string]string{"yaml": "# note\na: x\n", "dotenv": "# note\na=x\n", "ini": "; note\n[s]\n; note\na = x\n"} {
		data := string(encrypt(t, kind, text, toAge()...))
		comment := map[string]string{"yaml": "# added\n", "dotenv": "# added\n", "ini": "; added\n"}[kind]
		path := node + "secrets/x.enc"
		open(t, ageKeys(t), secrets.File{Path: path, Data: []byte(data)})
		_, openErr := ageKeys(t).Open([]secrets.File{{Path: path, Data: []byte(comment + data)}}, secrets.Options{})
		_, sealErr := secrets.Seal([]secrets.File{{Path: path, Data: []byte(comment + data)}}, secrets.Options{})
		if openErr == nil || !strings.Contains(openErr.Error(), "comment") || sealErr == nil {
			t.Errorf("%s: %v, %v", kind, openErr, sealErr)
		}
	}
}
