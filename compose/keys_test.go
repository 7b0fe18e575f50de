package compose_test

import (
	_ "embed"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

//go:embed testdata/keys.txt
var keysText string

// sample is one line of testdata/keys.txt.
type sample struct{ verdict, path, text string }

func samples(t *testing.T) []sample {
	t.Helper()
	var all []sample
	for line := range strings.Lines(keysText) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.SplitN(line, " ", 3)
		if len(parts) != 3 || slices.ContainsFunc(all, func(one sample) bool { return one.path == parts[1] }) {
			t.Fatalf("invalid line, or a duplicate key: %s", line)
		}
		all = append(all, sample{parts[0], parts[1], parts[2]})
	}
	return all
}

// TestEveryKeyHasAVerdict checks that each key in the schema of the Compose
// specification is carried, dropped or refused, or is below a key that is not carried.
// It fails on a new key of a newer compose-go.
func TestEveryKeyHasAVerdict(t *testing.T) {
	verdicts := map[string]string{}
	for _, one := range samples(t) {
		verdicts[one.path] = one.verdict
	}
	inSchema := map[string]bool{}
	count := map[string]int{}
	for _, path := range schema.AttributePaths() {
		key := strings.ReplaceAll(path.String(), ".[]", "")
		inSchema[key] = true
		verdict, ok := verdicts[key]
		above, below := parent(verdicts, key)
		switch {
		case above == "dropped" || above == "refused":
			if ok {
				t.Errorf("%s is below a key that is %s", key, above)
			}
			verdict = "below " + above
		case !ok && below == "*" && !strings.HasSuffix(key, "networks.*"):
			verdict = "any name" // such as services.*.labels.*: the mapping is carried
		case !ok:
			t.Errorf("%s is not in testdata/keys.txt", key)
		}
		count[verdict]++
	}
	for key := range verdicts {
		if !inSchema[key] {
			t.Errorf("%s is no longer a key of the Compose specification", key)
		}
	}
	t.Logf("%d keys of the Compose specification: %v", len(inSchema), count)
}

var inCode = regexp.MustCompile("`([^`:]+)[^`]*`")

// TestPageNamesKeys checks that docs/parity.md names each key that is not carried.
func TestPageNamesKeys(t *testing.T) {
	page, err := os.ReadFile("../docs/parity.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, match := range inCode.FindAllSubmatch(page, -1) {
		named[string(match[1])] = true
	}
	for _, one := range samples(t) {
		parts := strings.Split(one.path, ".")
		last := len(parts) - 1
		if one.verdict != "carried" && !named[parts[last]] && !named[strings.Join(parts[max(last-1, 0):], ".")] {
			t.Errorf("the page does not name %s, which is %s", one.path, one.verdict)
		}
	}
}

// parent returns the verdict of the nearest key above, and the rest of the path.
func parent(verdicts map[string]string, key string) (verdict, below string) {
	for at := strings.LastIndex(key, "."); at > 0; at = strings.LastIndex(key[:at], ".") {
		if verdict := verdicts[key[:at]]; verdict != "" {
			return verdict, key[at+1:]
		}
	}
	return "", ""
}

var choice = regexp.MustCompile(`<([^<>|]*)\|([^<>]*)>`)

// TestKeysDoAsTheVerdictSays renders each sample with both values.
func TestKeysDoAsTheVerdictSays(t *testing.T) {
	for _, one := range samples(t) {
		t.Run(one.path, func(t *testing.T) {
			first := renderSample(t, one, "$1")
			second := renderSample(t, one, "$2")
			key := one.path[strings.LastIndex(strings.TrimSuffix(one.path, ".*"), ".")+1:]
			switch one.verdict {
			case "carried":
				if len(first.said) > 0 && len(second.said) > 0 {
					t.Errorf("said %q and %q", first.said, second.said)
				}
				if first.same(second) {
					t.Error("both values give the same specs")
				}
			case "dropped":
				if !first.same(second) || first.refused || second.refused {
					t.Errorf("the values give different specs, or the key is refused: %q", first.said)
				}
				first.mustName(t, key)
				second.mustName(t, key)
			case "refused":
				if !first.refused || !second.refused {
					t.Error("the key is not refused")
				}
				first.mustName(t, key)
				second.mustName(t, key)
			case "silent":
				if !first.same(second) || first.refused || len(first.said)+len(second.said) > 0 {
					t.Errorf("said %q and %q", first.said, second.said)
				}
			default:
				t.Errorf("verdict %q", one.verdict)
			}
		})
	}
}

type outcome struct {
	refused bool
	said    []string
	specs   []any
	line    int
}

func (o outcome) same(other outcome) bool {
	return o.refused == other.refused && reflect.DeepEqual(o.specs, other.specs)
}

// mustName checks that one message names the sample's line and key.
func (o outcome) mustName(t *testing.T, key string) {
	t.Helper()
	place := fmt.Sprintf("docker-compose.yml:%d: ", o.line)
	if len(o.said) != 1 || !strings.HasPrefix(o.said[0], place) || !strings.Contains(o.said[0], key) && key != "host_ip" {
		t.Errorf("said %q, want one message about %s at %q", o.said, key, place)
	}
}

const surroundings = `  base: {image: base, labels: {from: base}}
  other: {image: base, labels: {from: other}}
networks: {n: {}, m: {}}
volumes: {vol: {}, wol: {}}
secrets: {s: {file: secrets/one}, t: {file: secrets/two}}
configs: {c: {file: one.env}, d: {file: two.env}}
`

func renderSample(t *testing.T, one sample, value string) outcome {
	t.Helper()
	text := choice.ReplaceAllString(one.text, value)
	o := outcome{line: 1}
	if strings.HasPrefix(one.path, "services.*.") && !strings.HasPrefix(text, "{") {
		text, o.line = app+"    "+text+"\n"+surroundings, 4
	}
	stack, err := renderFiles(t, map[string]string{
		"docker-compose.yml": text, "node.env": "TAG=1\nPROFILE=one\nCOMPOSE_PROFILES=one\n", "/environments/test/config.yml": plaintext,
		"one.env": "A=one\n", "two.env": "A=two\n", "secrets/one": "1", "secrets/two": "2",
		"one.yml": "services: {base: {image: one, labels: {from: one}}}\n", "two.yml": "services: {base: {image: two, labels: {from: two}}}\n",
		"three.yml": "services: {base: {image: \"three:$A\"}}\n", "four.yml": "services: {base: {image: four, env_file: [a.env]}}\n",
		"sub/a.env": "A=sub\n", "more/a.env": "A=more\n",
	})
	if err != nil {
		o.refused, o.said = true, describe(t, err)
		return o
	}
	o.said = warnings(stack)
	var secrets []swarm.SecretSpec
	for _, secret := range stack.Secrets {
		secret.Spec.Data = []byte(secret.Value.Fingerprint([]byte("key")))
		secrets = append(secrets, secret.Spec)
	}
	o.specs = []any{stack.Services, stack.Networks, secrets, stack.Configs, stack.ExternalNetworks, stack.ExternalSecrets, stack.ExternalConfigs}
	return o
}

// warnings lists a stack's warnings, with paths in the node's folder.
func warnings(stack *compose.Stack) []string {
	var all []string
	for _, warning := range stack.Warnings {
		all = append(all, strings.ReplaceAll(warning.Error(), nodeDir, ""))
	}
	return all
}
