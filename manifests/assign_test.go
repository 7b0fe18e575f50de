package manifests_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/manifests"
)

func TestSetVersion(t *testing.T) {
	cases := map[string]struct{ file, before, want string }{
		"plain":          {"node.env", "A=1\nSV_x=3 # three\nB=2\n", "A=1\nSV_x=4 # three\nB=2\n"},
		"exported":       {"node.env", "export SV_x=3\n", "export SV_x=4\n"},
		"single quotes":  {"node.env", "export SV_x='3'", "export SV_x='4'"},
		"double quotes":  {"node.env", "SV_x=\"3\"; SV_xy=3\n", "SV_x=\"4\"; SV_xy=3\n"},
		"among others":   {"node.env", "export A=\"$B\" SV_x=9 C=9\n", "export A=\"$B\" SV_x=4 C=9\n"},
		"the last one":   {"node.env", "SV_x=1\nSV_x=3\n", "SV_x=1\nSV_x=4\n"},
		"empty":          {"node.env", "SV_x=\nA=1\n", "SV_x=4\nA=1\n"},
		"empty, quoted":  {"node.env", "SV_x=''\n", "SV_x='4'\n"},
		"added":          {"node.env", "A=1", "A=1\nSV_x=4\n"},
		"first":          {"secrets.override.env", "", "SV_x=4\n"},
		"old spelling":   {"secrets.override.env", "# old\nx_VERSION=3\n", "# old\nx_VERSION=4\n"},
		"both spellings": {"secrets.override.env", "x_VERSION=3\nSV_x=3\n", "x_VERSION=4\nSV_x=4\n"},
		"no spelling":    {"node.env", "x_VERSION=3\n", "x_VERSION=3\nSV_x=4\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := manifests.SetVersion(c.file, []byte(c.before), "SV_x", "4")
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
	for name, before := range map[string]string{
		"derived": "A=1\nSV_x=$A\n", "added to": "A=1\nSV_x+=3\n", "joined": "A=1\nSV_x=\"1\"2\n", "list": "A=1\nSV_x=(3)\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := manifests.SetVersion("node.env", []byte(before), "SV_x", "4")
			if err == nil || !strings.HasPrefix(err.Error(), "node.env:2:1: ") {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := manifests.SetVersion("node.env", []byte("SV_x='3\n"), "SV_x", "4"); err == nil {
		t.Error("a broken file is taken")
	}
}
