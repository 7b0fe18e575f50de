package oneline_test

import (
	"testing"

	"coin.internal/coin-agent/internal/oneline"
)

func TestCut(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "",
		"short":             "short",
		" a\r\n\tb\u2028c ": "a b c",
		"c\x1b[d\u202e":     `c\x1b[d\u…`,
		"ten letter":        "ten letter",
		"eleven char":       "eleven ch…",
		"123456789 z":       "123456789…",
		"12345678 90":       "12345678…",
		"ünïcödé ünïcödé":   "ünïcödé ü…",
		"bad \xff":          `bad \xff`,
	} {
		if got := oneline.Cut(text, 10); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
