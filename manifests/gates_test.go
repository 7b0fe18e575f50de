package manifests_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// gated returns a config.yml with these gates for a type of environment.
func gated(kind, gates string) string {
	text := strings.Replace(plainConfig, "non-production", kind, 1)
	if gates != "" {
		text += "deployment:\n  gates: " + gates + "\n"
	}
	return text
}

const releaseTag = `^\d{4}-\d{2}-\d{2}-[a-f0-9]{10}$`

// TestReleaseGates expects the gates of each section, with the defaults of the
// environment's type.
func TestReleaseGates(t *testing.T) {
	unasked := manifests.VulnerabilityGate{Severity: "Critical", OnNoAnswer: manifests.NoAnswerBlock}
	asked := unasked
	asked.Asked = true
	disk := manifests.DiskGate{MinFree: "1GB"}
	tests := []struct {
		name, kind, gates, more string
		want                    manifests.Gates
	}{
		{"nothing said", "non-production", "", "", manifests.Gates{Vulnerabilities: unasked, Disk: disk, Preflight: true}},
		{"production", "production", "", "", manifests.Gates{
			Tag: manifests.TagGate{Pattern: releaseTag}, Images: true, Vulnerabilities: unasked, Disk: disk, Preflight: true,
		}},
		{"production with a database", "production", "", "database: {host: db}\n", manifests.Gates{
			Tag: manifests.TagGate{Pattern: releaseTag}, Images: true, Vulnerabilities: unasked, Disk: disk, Database: true, Preflight: true,
		}},
		{"production without any", "production", "{tag: {pattern: ''}, images: false, database: false, preflight: false, disk: {min_free: 0B}}", "database: {host: db}\n", manifests.Gates{
			Vulnerabilities: unasked, Disk: manifests.DiskGate{MinFree: "0B"},
		}},
		{"all", "non-production", "{tag: {pattern: '^v'}, images: true, database: true, vulnerabilities: {}}", "database: {host: db}\n", manifests.Gates{
			Tag: manifests.TagGate{Pattern: "^v"}, Images: true, Vulnerabilities: asked, Disk: disk, Database: true, Preflight: true,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config, err := loadConfig("sandbox", gated(test.kind, test.gates)+test.more)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, config.ReleaseGates()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestGateFaults expects the fault and the hint of each section.
func TestGateFaults(t *testing.T) {
	tests := map[string]struct{ gates, want, hint string }{
		"pattern":        {"{tag: {pattern: '('}}", `want a regular expression, got "("`, "write a regular expression"},
		"size":           {"{disk: {min_free: 5 gigs}}", "want a size such as 5GB or 512MiB", "write a size"},
		"number":         {"{disk: {min_free: 5}}", "want a size such as 5GB or 512MiB", "write a size"},
		"severity":       {"{vulnerabilities: {severity: critical}}", "want one of Critical, High, Medium, Low, none", `did you mean "Critical"?`},
		"plain http":     {"{vulnerabilities: {registry: 'http://harbor'}}", "want an address such as https://harbor.example.com", "write an address"},
		"login in url":   {"{vulnerabilities: {registry: 'https://a:b@harbor'}}", "want an address such as https://harbor.example.com", "write an address"},
		"half a login":   {"{vulnerabilities: {registry: 'https://h', user_file: u}}", "has only one of user_file and token_file", "set both"},
		"login for whom": {"{vulnerabilities: {user_file: u, token_file: t}}", "does not set the registry", "add registry"},
		"file elsewhere": {"{vulnerabilities: {ca_file: ../ca}}", "want the name of a file in the agent's check_dir", "write the name"},
		"except":         {"{vulnerabilities: {except: ['a[']}}", `"a[" is not a valid pattern`, "docker.io/library/*"},
		"no database":    {"{database: true}", "database.host is not set", "add database.host"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := loadConfig("sandbox", gated("non-production", test.gates))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "environments/sandbox/config.yml:") {
				t.Fatalf("got %v, want %s", err, test.want)
			}
			if hint := fault.Hint(fault.All(err)[0]); !strings.Contains(hint, test.hint) {
				t.Errorf("hint %q, want %q", hint, test.hint)
			}
		})
	}
}

func TestDiskBytes(t *testing.T) {
	for text, want := range map[string]uint64{
		"0B": 0, "1B": 1, "5GB": 5e9, "1.5 GB": 15e8, "512MiB": 512 << 20, "2TiB": 2 << 40, "3KB": 3000, "999999TB": 999999e12,
	} {
		if got := (manifests.DiskGate{MinFree: text}).Bytes(); got != want {
			t.Errorf("%s is %d bytes, want %d", text, got, want)
		}
	}
}

func TestExcepts(t *testing.T) {
	gate := manifests.VulnerabilityGate{Except: []string{"docker.io/library/*", "harbor.example.com/coin/core"}}
	for image, want := range map[string]bool{
		"docker.io/library/postgres": true, "docker.io/other/postgres": false,
		"harbor.example.com/coin/core": true, "harbor.example.com/coin/core/worker": false,
	} {
		if got := gate.Excepts(image); got != want {
			t.Errorf("%s: %t, want %t", image, got, want)
		}
	}
}
