package paritytest

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

var (
	inputs = flag.Int("grammar", 100, "how many nodes TestGrammar makes")
	first  = flag.Int("grammar-first", 0, "the number of the first one")
)

// TestGrammar makes nodes from fixed inputs of the grammar, and compares the results of
// Render and of the docker CLI's code.
func TestGrammar(t *testing.T) {
	all := &tally{used: map[string]int{}}
	for seed := *first; seed < *first+*inputs; seed++ {
		for _, one := range all.compare(t, randomBytes(seed, 16384)) {
			t.Errorf("input %d: %s", seed, one)
		}
	}
	all.log(t)
}

// FuzzGrammar makes nodes from the fuzzer's inputs.
func FuzzGrammar(f *testing.F) {
	f.Add([]byte{})
	for seed := range 20 {
		f.Add(randomBytes(-1-seed, 1024))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		all := &tally{used: map[string]int{}}
		for _, one := range all.compare(t, input) {
			t.Error(one)
		}
	})
}

func randomBytes(seed, n int) []byte {
	random := rand.New(rand.NewPCG(uint64(seed), 0)) //nolint:gosec // a test needs no secure random numbers
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

// tally counts the results of the nodes.
type tally struct {
	count
	files    int
	accepted int            // by both
	refused  int            // by both
	used     map[string]int // by rule
}

func (a *tally) log(t *testing.T) {
	t.Helper()
	t.Logf("%d nodes with %d compose files: %d%% accepted by both, %d%% refused by both; compared %d services, %d networks, %d secrets, %d configs; %d fields",
		a.nodes, a.files, 100*a.accepted/a.nodes, 100*a.refused/a.nodes, a.services, a.networks, a.secrets, a.configs, a.fields)
	for _, rule := range slices.Sorted(maps.Keys(a.used)) {
		t.Logf("%5d × %s", a.used[rule], rule)
	}
}

// compare makes a node from the input, and lists the differences without a rule.
func (a *tally) compare(t *testing.T, input []byte) []string {
	t.Helper()
	g := &grammar{input: input}
	files := g.files()
	fsys := fstest.MapFS{
		"environments/test/config.yml":         {Data: []byte(grammarConfig)},
		"environments/test/common/project.env": {Data: []byte("PROJECT=1\nSET=project\n")},
	}
	for name, text := range files {
		fsys["environments/test/nodes/n/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	node, err := manifests.Load(fsys, "test", "n")
	if err != nil {
		t.Fatalf("%v\n%s", err, listing(files))
	}
	dir := layOut(t, node)
	node.Config.Base.BindRoot = dir // docker's base of relative paths
	stack, ourErr := renderSealed(t, node)
	sent, dockerErr := inProcess(t, node, dir, g.env)
	a.nodes++
	a.files += len(node.ComposeFiles)
	var found []string
	switch {
	case ourErr != nil && dockerErr != nil:
		a.refused++
	case ourErr != nil:
		found = a.explain(ourErr, refusedByUs, "refused by us alone")
	case dockerErr != nil:
		found = a.explain(dockerErr, takenByUs, "refused by docker alone")
	default:
		a.accepted++
		a.services += len(sent.services)
		a.networks += len(sent.networks)
		a.secrets += len(sent.secrets)
		a.configs += len(sent.configs)
		docker := sentFields(t, sent, node.Stack)
		a.fields += len(docker)
		found = a.unintended(differences(docker, renderedFields(t, stack)))
		sameSecrets(t, sent, stack)
	}
	if len(found) > 0 {
		found = append(found, listing(files))
	}
	return found
}

const grammarConfig = `environment: {name: test, type: non-production}
allow_plaintext_secrets: true
nodes:
  - {name: n, context: n, stack: shop}
`

func renderSealed(t *testing.T, node *manifests.Node) (*compose.Stack, error) {
	t.Helper()
	var files []secrets.File
	for _, name := range node.SecretFiles {
		files = append(files, secrets.File{Path: name, Data: []byte("content of " + path.Base(name))})
	}
	set, err := secrets.Seal(files, secrets.Options{AllowPlaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	return compose.Render(node, set, compose.Options{})
}

func listing(files map[string]string) string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, ".yml") || strings.HasSuffix(name, ".env") {
			fmt.Fprintf(&out, "--- %s\n%s", name, files[name])
		}
	}
	return out.String()
}

// explain returns the errors that no rule explains, if only one side refuses the node.
func (a *tally) explain(err error, rules []rule, what string) []string {
	for line := range strings.Lines(err.Error()) {
		if !a.covered(strings.TrimSpace(line), rules) {
			return []string{what + ": " + line}
		}
	}
	return nil
}

func (a *tally) unintended(found []difference) []string {
	var left []string
	for _, one := range found {
		if !a.covered(one.String(), intendedFields) {
			left = append(left, one.String())
		}
	}
	return left
}

func (a *tally) covered(what string, rules []rule) bool {
	for _, one := range rules {
		if one.match.MatchString(what) {
			a.used[one.reason]++
			return true
		}
	}
	return false
}
