package footprint_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/footprint"
)

// TestClean says which mappings are given back: only the program's own ones that cannot have been
// changed. The heap and files that may be unmapped are never among them.
func TestClean(t *testing.T) {
	for mapping, want := range map[string]bool{
		"00400000-015ca000 r-xp 00000000 fe:00 42 /usr/bin/coin-agent|0":          true,
		"015ca000-0291f000 r--p 011ca000 fe:00 42 /usr/bin/coin-agent|0":          true,
		"0291f000-02a1c000 rw-p 0251f000 fe:00 42 /usr/bin/coin-agent|0":          false, // its variables
		"55d0a000-55d0c000 r--p 0251f000 fe:00 42 /usr/bin/coin-agent|8":          false, // relocated, then made read-only
		"00400000-015ca000 ---p 00000000 fe:00 42 /usr/bin/coin-agent|0":          false,
		"7f0000000000-7f0001000000 r--s 00000000 fe:00 7 /var/lib/state.db|0":     false, // may be mapped elsewhere now
		"7f0000000000-7f0001000000 r--p 00000000 fe:00 7 /x/usr/bin/coin-agent|0": false,
		"c000000000-c000c00000 rw-p 00000000 00:00 0|12000":                       false,
		"7ffd7d1c2000-7ffd7d1c4000 r-xp 00000000 00:00 0 [vdso]|0":                false,
		"00400000-00300000 r-xp 00000000 fe:00 42 /usr/bin/coin-agent|0":          false,
		"zz-00300000 r-xp 00000000 fe:00 42 /usr/bin/coin-agent|0":                false,
	} {
		line, anonymous, _ := strings.Cut(mapping, "|")
		smaps := line + "\nSize:              18216 kB\nRss:               15784 kB\nAnonymous:     " + anonymous + " kB\nVmFlags: rd ex mr mw me\n"
		if got := footprint.Clean([]byte(smaps), "/usr/bin/coin-agent"); (got == 1) != want {
			t.Errorf("%s: %d, want %t", mapping, got, want)
		}
	}
	if own := footprint.New().Program(); own < 1 || own > 3 {
		t.Errorf("this program has %d", own)
	}
}
