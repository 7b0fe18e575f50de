package visible_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"coin.internal/coin-agent/internal/visible"
)

func TestLine(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"image: coin/api:1.2.3", "image: coin/api:1.2.3"},
		{"Größe, Юлия, 東京, €, é", "Größe, Юлия, 東京, €, é"},
		{"ok ⚠️", "ok ⚠️"},
		{"\x1b[2A\x1b[2Kgone", `\x1b[2A\x1b[2Kgone`},
		{"a\nb\r\tc\x00\x7f", `a\nb\r\tc\x00\x7f`},
		{"csi \u009b2K, nel \u0085", `csi \u009b2K, nel \u0085`},
		{"bidi \u202etxt.exe\u2066\u200f", `bidi \u202etxt.exe\u2066\u200f`},
		{"zero\u200bwidth\u00ad\ufeff", `zero\u200bwidth\u00ad\ufeff`},
		{"lines\u2028and\u2029", `lines\u2028and\u2029`},
		{"spaces\u00a0\u2003", `spaces\u00a0\u2003`},
		{"fillers\u3164\u115f\u2800\u034f", `fillers\u3164\u115f\u2800\u034f`},
		{"tags\U000e0041, private \ue000", `tags\U000e0041, private \ue000`},
		{"selectors\ufe01\U000e0101", `selectors\ufe01\U000e0101`},
		{"bytes \xff\xc3", `bytes \xff\xc3`},
		{"\ufffd stays", "\ufffd stays"},
		{`C:\temp`, `C:\temp`},
	} {
		got := visible.Line(test.text)
		if got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
		if again := visible.Line(got); again != got {
			t.Errorf("%q: a second pass gives %q", got, again)
		}
	}
}

func TestLines(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"one", "one"},
		{"one\ntwo\r\nthree", "one\n  two\n  three"},
		{"at\n\tcom.coin.Api\x1b[2A", "at\n      com.coin.Api" + `\x1b[2A`},
		{"a\rb", `a\rb`},
	} {
		if got := visible.Lines(test.text, "  "); got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

func TestJSON(t *testing.T) {
	hostile := "\x1b[2A\u202e\u009b\x7f\u2028\U000e0041 \\ \" é €"
	data, err := json.MarshalIndent(map[string]string{hostile: hostile}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	safe := visible.JSON(data)
	if at := strings.IndexFunc(string(safe), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); at >= 0 {
		t.Errorf("a hidden character is in %q", safe)
	}
	var read map[string]string
	if err := json.Unmarshal(safe, &read); err != nil || read[hostile] != hostile {
		t.Errorf("%s reads as %q, %v", safe, read, err)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("\x1b[2A\u202e\xff")
	f.Fuzz(func(t *testing.T, text string) {
		line := visible.Line(text)
		for _, r := range line {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("%q has %U", line, r)
			}
		}
		if visible.Line(line) != line {
			t.Fatalf("%q changes again", line)
		}
	})
}
