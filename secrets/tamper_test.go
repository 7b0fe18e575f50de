package secrets_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// A file with any byte changed is refused, or gives exactly the same: some
// bytes carry nothing, such as those of another recipient or a date of the
// metadata. The text of an error never quotes the content.
func TestTamperedByteIsRefused(t *testing.T) {
	texts := map[string]string{
		"yaml": "a: " + canary + "\nSV_a: 11\nn: 1.5\n", "json": `{"a": "` + canary + `", "SV_a": 11, "n": 1.5}`,
		"dotenv": "a=" + canary + "\nSV_a=11\nn=1.5\n", "ini": "[x]\na = " + canary + "\nSV_a = 11\nn = 1.5\n",
		"binary": "a: " + canary + "\nSV_a: 11\nn: 1.5\n",
	}
	recipients := map[string]struct {
		args []string
		keys *secrets.Keyring
	}{
		"age": {[]string{"--age", lab.age}, ageKeys(t)},
		"pgp": {[]string{"--pgp", lab.curvePGP}, load(t, secrets.KeyFiles{PGP: []string{lab.path("curve.asc")}})},
	}
	for who, recipient := range recipients {
		for kind, text := range texts {
			t.Run(who+"/"+kind, func(t *testing.T) {
				t.Parallel()
				data := encrypt(t, kind, text, append(recipient.args, "--config", "/dev/null")...)
				refused := 0
				for index := range data {
					changed := bytes.Clone(data)
					changed[index] ^= 1
					if refuses(t, recipient.keys, changed) {
						refused++
					}
				}
				if refused < len(data)/2 {
					t.Errorf("only %d of %d changed bytes were noticed", refused, len(data))
				}
				for length := range len(data) - 1 {
					if length%7 == 0 {
						refuses(t, recipient.keys, data[:length])
					}
				}
			})
		}
	}
}

// refuses opens a changed file and fails the test where that gives other
// content than the file had.
func refuses(t *testing.T, keys *secrets.Keyring, data []byte) bool {
	t.Helper()
	set, err := keys.Open([]secrets.File{{Path: node + "secrets.enc", Data: data}}, secrets.Options{})
	if err != nil {
		mustHide(t, "error", err.Error()+fault.Hint(err))
		return true
	}
	if len(data) == 0 {
		return true
	}
	got := map[string]string{"a": value(set, "a", ""), "n": value(set, "n", ""), "version": set.Versions()["SV_a"], "names": strings.Join(set.Names(), " ")}
	want := map[string]string{"a": canary, "n": "1.5", "version": "11", "names": "a n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a changed file gives other content (-want +got):\n%s\n%s", diff, data)
	}
	return false
}

// What no single byte does: values moved, left out, added or taken from
// elsewhere.
func TestTamperedStructureIsRefused(t *testing.T) {
	text := "a: " + canary + "\nb: other\nSV_a: 11\nSV_b: 12\n"
	data := string(encrypt(t, "yaml", text, append(toAge(), "--unencrypted-regex", "^SV_")...))
	foreign := string(encrypt(t, "yaml", text, append(toAge(), "--unencrypted-regex", "^SV_")...))
	lines := strings.SplitAfter(data, "\n")
	encrypted := regexp.MustCompile(`ENC\[.*\]`).FindAllString(data, 3)
	foreigns := regexp.MustCompile(`ENC\[.*\]`).FindAllString(foreign, 3)
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
		"as a comment":         strings.Replace(data, encrypted[0], strings.Replace(encrypted[0], "type:str", "type:comment", 1), 1),
	}
	for name, changed := range cases {
		t.Run(name, func(t *testing.T) {
			if changed == data {
				t.Fatal("nothing was changed")
			}
			_, err := ageKeys(t).Open([]secrets.File{{Path: node + "secrets.enc", Data: []byte(changed)}}, secrets.Options{})
			if err == nil {
				t.Fatalf("opened:\n%s", changed)
			}
			mustHide(t, "error", err.Error()+fault.Hint(err))
		})
	}
}
