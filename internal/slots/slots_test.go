package slots_test

import (
	"errors"
	"testing"

	"coin.internal/coin-agent/internal/slots"
)

func TestFill(t *testing.T) {
	value := func(name string) (string, error) {
		if name == "bad" {
			return "", errors.New("bad name")
		}
		return "<" + name + ">", nil
	}
	for text, want := range map[string]string{
		"":                                  "",
		"plain }} { {":                      "plain }} { {",
		"{{a}}":                             "<a>",
		"x{{a}}{{secret.web.auth}}y":        "x<a><secret.web.auth>y",
		`{"a":{"b":"{{a-b_1}}"}}`:           `{"a":{"b":"<a-b_1>"}}`,
		"https://{{public_ip}}:5443/health": "https://<public_ip>:5443/health",
	} {
		if got, err := slots.Fill(text, value); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"{{", "{{a", "{{a}", "{{ a }}", "{{.a}}", "{{}}", "{{{a}}}", "{{bad}}"} {
		if got, err := slots.Fill(text, value); err == nil {
			t.Errorf("%q: got %q, want an error", text, got)
		}
	}
}
