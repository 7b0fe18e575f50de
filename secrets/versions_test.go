package secrets_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

func TestVersions(t *testing.T) {
	set := open(t, ageKeys(t),
		secrets.File{Path: node + "secrets.enc", Data: encrypt(t, "yaml",
			"SV_a: 1\nSV_b: 1\nd_VERSION: 9\nSV_d: 9\nSV_e: auto\n_VERSION: x\nSV_: y\n", toAge()...)},
		secrets.File{Path: node + "secrets.override.enc", Data: encrypt(t, "binary",
			"# versions\nSV_a=2\nexport c_VERSION=\"2026-01.b\"\n", toAge()...)})
	want := map[string]string{"SV_a": "2", "SV_b": "1", "SV_c": "2026-01.b", "SV_d": "9", "SV_e": "auto"}
	if diff := cmp.Diff(want, set.Versions()); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"SV_", "_VERSION"}, set.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if len(set.SealedVersions()) > 0 {
		t.Errorf("sealed: %v", set.SealedVersions())
	}
}

func TestVersionFaults(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"space":    {"SV_a: \"" + canary + " x\"\n", "the version SV_a has characters other than"},
		"slash":    {"b: 1\na_VERSION: \"../" + canary + "\"\n", "the version a_VERSION has characters other than"},
		"lines":    {"SV_a: |\n  " + canary + "\n  x\n", "the version SV_a"},
		"empty":    {"SV_a: \"\"\n", "the version SV_a"},
		"null":     {"SV_a:\n", "the version SV_a"},
		"mapping":  {"SV_a: {x: " + canary + "}\n", "the version SV_a"},
		"conflict": {"SV_a: 1\na_VERSION: 2\n", "set to two different values, as SV_a and as a_VERSION"},
	}
	for name, test := range cases {
		for _, kind := range []string{"yaml", "binary"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				data := encrypt(t, kind, test.text, toAge()...)
				_, err := ageKeys(t).Open([]secrets.File{{Path: "n/secrets.enc", Data: data}}, secrets.Options{})
				if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "n/secrets.enc") {
					t.Fatalf("got %v, want %q", err, test.want)
				}
				mustHide(t, "error", err.Error()+fault.Hint(err))
			})
		}
	}
}

func TestKeyTwice(t *testing.T) {
	data := encrypt(t, "dotenv", "a="+canary+"\nb=1\na=2\n", toAge()...)
	_, err := ageKeys(t).Open([]secrets.File{{Path: "secrets.enc", Data: data}}, secrets.Options{})
	if err == nil || !strings.Contains(err.Error(), `the file has the key "a" twice`) {
		t.Fatalf("got %v", err)
	}
	mustHide(t, "error", err.Error())
}

func TestAutoVersion(t *testing.T) {
	auto := func(key, name, content string) string {
		t.Helper()
		set := open(t, ageKeys(t), secrets.File{Path: "secrets.enc", Data: encrypt(t, "yaml", "auto_version_key: "+key+"\n", toAge()...)})
		if len(set.Names()) != 0 || value(set, "auto_version_key", "") != "(none)" {
			t.Error("the key itself is a secret")
		}
		version, err := set.AutoVersion(name, secrets.NewValue([]byte(content)))
		if err != nil {
			t.Fatal(err)
		}
		return version
	}
	first := auto("0123456789abcdefg", "db", "x")
	if !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(first) {
		t.Errorf("version %q", first)
	}
	if again := auto("0123456789abcdefg", "db", "x"); again != first {
		t.Errorf("the same content gives %s and %s", first, again)
	}
	for _, other := range []string{auto("0123456789abcdefh", "db", "x"), auto("0123456789abcdefg", "db2", "x"), auto("0123456789abcdefg", "db", "y")} {
		if other == first {
			t.Error("another key, name or content gives the same version")
		}
	}
}

func TestAutoVersionNeedsAKey(t *testing.T) {
	for _, text := range []string{"a: b\n", "auto_version_key: short\n"} {
		set := open(t, ageKeys(t), secrets.File{Path: "n/secrets.enc", Data: encrypt(t, "yaml", text, toAge()...)})
		_, err := set.AutoVersion("db", secrets.NewValue([]byte(canary)))
		if err == nil || !strings.Contains(err.Error(), "at least 16 bytes") || !strings.Contains(fault.Hint(err), "openssl rand") {
			t.Errorf("got %v, hint %q", err, fault.Hint(err))
		}
	}
}

// TestAutoVersionKeyTwice wants a file that is added not to replace the key of another one.
func TestAutoVersionKeyTwice(t *testing.T) {
	file := func(name, key string) secrets.File {
		return secrets.File{Path: "n/" + name, Data: encrypt(t, "yaml", "auto_version_key: "+key+"\n", toAge()...)}
	}
	set := open(t, ageKeys(t), file("secrets.enc", strings.Repeat("k", 32)), file("secrets.override.enc", strings.Repeat("x", 32)))
	version, err := set.AutoVersion("db", secrets.NewValue([]byte(canary)))
	if err == nil || err.Error() != "n/secrets.override.enc: the key auto_version_key is in this file and in n/secrets.enc" {
		t.Errorf("got %q, %v", version, err)
	}
}
