package secrets_test

import (
	"fmt"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// TestWorkOfRules refuses, without keys too, files whose own rules or keys would keep SOPS at work for
// minutes and days, and says what to change. It takes those that people write.
func TestWorkOfRules(t *testing.T) {
	lines := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	const value = "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]"
	yaml := func(rule, body string) string {
		return body + "sops:\n  " + rule + "\n  age: [{recipient: " + lab.age + ", enc: x}]\n  version: 3.13.3\n  mac: " + value + "\n  lastmodified: \"2025-01-01T00:00:00Z\"\n"
	}
	json := func(rule, body string) string {
		return `{"sops": {` + rule + `"age": [{"recipient": "` + lab.age + `", "enc": "x"}], "version": "3.13.3", "mac": "` + value + `", "lastmodified": "2025-01-01T00:00:00Z"}` + body + "}\n"
	}
	for name, test := range map[string]struct{ data, says string }{
		"a rule of 100 kB":        {json(`"encrypted_regex": "`+strings.Repeat("a?", 50_000)+`z", `, lines(200, `, "k%d": "`+value+`"`)), "encrypted_regex of the file has more than 1000 bytes"},
		"no rule":                 {yaml(`encrypted_regex: "a(b"`, "a: "+value+"\n"), "encrypted_regex of the file is not a regular expression"},
		"a rule that grows":       {yaml("unencrypted_regex: "+strings.Repeat(".{1000}", 100), lines(500, "k%d: "+value+"\n")), "takes more than 200000000 steps"},
		"comments":                {yaml("encrypted_comment_regex: zzz", lines(2000, "# c%d\n")+lines(2000, "k%d: "+value+"\n")), "takes more than 200000000 steps"},
		"comments of a list":      {yaml("unencrypted_comment_regex: zzz", "list:\n"+lines(2500, "  # c%d\n")+"  - "+value+"\n"), "takes more than 200000000 steps"},
		"values below a long key": {json("", `, "`+strings.Repeat("k", 1<<20)+`": [`+strings.TrimPrefix(lines(500, `, "%d"`), ", ")+`]`), "takes more than 200000000 steps"},
		"depth":                   {json("", strings.Repeat(`, "kkkkkkkkkkkk": {"a": 1`, 9000)+strings.Repeat("}", 9000)), "takes more than 200000000 steps"},
		"keys of INI":             {lines(20_000, "k%d=\n") + "[sops]\nversion=3.13.3\nmac=" + value + "\nlastmodified=2025-01-01T00:00:00Z\n", "a mapping or the INI file has more than 10000 keys"},

		"a usual rule":   {yaml("encrypted_regex: ^(data|stringData|password|.*_key)$", lines(5000, "password%d: plain\n")), ""},
		"usual comments": {yaml("encrypted_comment_regex: encrypt", lines(2000, "# a comment about the key below it\nk%d: plain\n")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := secrets.Inspect([]secrets.File{{Path: "n/secrets.enc", Data: []byte(test.data)}}, secrets.Options{})
			switch {
			case test.says == "" && err != nil && strings.Contains(err.Error(), "steps"):
				t.Error(err)
			case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "n/secrets.enc") || fault.Hint(err) == "" || len(err.Error()) > 300):
				t.Errorf("got %.300v (%s), want %s", err, fault.Hint(err), test.says)
			}
		})
	}
}
