package deploy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/secrets"
)

// masked gives the lines that are shown of a text.
func masked(t *testing.T, text string) []string {
	t.Helper()
	stack := &compose.Stack{}
	for name, value := range map[string]string{"db": "first \"line\" of it\nsecond/line+of it\n<a&b>\"c/ä😀\n", "keystore": hugeSecret()} {
		stack.Secrets = append(stack.Secrets, compose.Secret{
			Spec: swarm.SecretSpec{Annotations: swarm.Annotations{Name: "s_" + name + ".1"}}, Value: secrets.NewValue([]byte(value)),
		})
	}
	return deploy.ShownLines(deploy.NewMasks(stack), text)
}

// hugeSecret is a value of one line that the engine sends in parts.
func hugeSecret() string {
	var value strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&value, "%x.", i*i)
	}
	return value.String()
}

// What a container prints is masked, visible, and bounded.
func TestShownLines(t *testing.T) {
	const stamp = "2026-01-31T08:00:00.000000001Z "
	long := strings.Repeat("x", 1<<20)
	huge := hugeSecret()
	for name, test := range map[string]struct{ text, want string }{
		"plain":           {stamp + "hello\n" + stamp + "again\n", "hello|again"},
		"no end":          {stamp + "hello", "hello"},
		"empty":           {stamp + "\n", ""},
		"a line of it":    {stamp + `got first "line" of it!`, "got ***!"},
		"another":         {stamp + "second/line+of it", "***"},
		"in JSON":         {stamp + `{"v":"first \"line\" of it"}`, `{"v":"***"}`},
		"in an address":   {stamp + "https://h/?q=second%2Fline%2Bof+it", "https://h/?q=***"},
		"JSON of Go":      {stamp + `{"v":"\u003ca\u0026b\u003e\"c/ä😀"}`, `{"v":"***"}`},
		"of JavaScript":   {stamp + `{"v":"<a&b>\"c/ä😀"}`, `{"v":"***"}`},
		"of PHP":          {stamp + `{"v":"<a&b>\"c\/\u00e4\ud83d\ude00"}`, `{"v":"***"}`},
		"of Python":       {stamp + `{"v":"<a&b>\"c/\u00e4\ud83d\ude00"}`, `{"v":"***"}`},
		"of Java":         {stamp + `{"v":"<a&b>\"c/\u00E4\uD83D\uDE00"}`, `{"v":"***"}`},
		"quoted by Go":    {stamp + `v="<a&b>\"c/ä😀"`, `v="***"`},
		"looks secret":    {stamp + "DB_PASSWORD=hunter2 user=anna", "DB_PASSWORD=*** user=anna"},
		"a private key":   {stamp + "-----BEGIN RSA PRIVATE KEY-----\n" + stamp + "MIIabc\n" + stamp + "-----END RSA PRIVATE KEY-----\n" + stamp + "after", "***|***|***|after"},
		"escapes":         {stamp + "\x1b[2Jgone\u202e\r\n", `\x1b[2Jgone\u202e`},
		"forged lines":    {stamp + "a\rb\x00\v", `a\rb\x00\v`},
		"broken text":     {stamp + "\xff\xfe", `\xff\xfe`},
		"1 MB":            {stamp + long + "\n" + stamp + "after", strings.Repeat("x", 4096) + "…|after"},
		"1 MB, then it":   {stamp + long + "second/line+of it\n", strings.Repeat("x", 4096) + "…"},
		"cut in a secret": {stamp + strings.Repeat("x", 4090) + "second/line+of it", strings.Repeat("x", 4090) + "***"},
		"in parts":        {stamp + strings.Repeat("x", 16<<10-6) + "second" + stamp + "/line+of it|after\n", strings.Repeat("x", 4096) + "…"},
		"parts of it":     {stamp + huge[:16<<10] + stamp + huge[16<<10:] + " after", "*** after"},
		"its end":         {stamp + "line+of it and more\n" + stamp + "line+of it", "*** and more|line+of it"},
		"its middle":      {stamp + huge[100:200] + "\n" + stamp + "after", "***|after"},
		"no time":         {"hello there", "hello there"},
	} {
		if got := strings.Join(masked(t, test.text), "|"); got != strings.ReplaceAll(test.want, `\v`, `\x0b`) {
			t.Errorf("%s: got %.200q, want %.200q", name, got, test.want)
		}
	}
}
