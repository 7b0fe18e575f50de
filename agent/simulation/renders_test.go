package simulation_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

const (
	// renderedAgain is how many stacks are taken from memory before one is rendered again.
	renderedAgain = 50
	// mostRenders is how many stacks are in memory; then all are forgotten.
	mostRenders = 2000
)

// renders remembers the stacks of all seeds, because a third of the time would go into
// rendering the same files. It may be used concurrently.
type renders struct {
	mu    sync.Mutex
	known map[[32]byte]rendered
	taken int    // from memory
	wrong string // why a stack in memory must not be used
}

// rendered is a stack in memory, and its JSON when it was made.
type rendered struct {
	stack *compose.Stack
	text  string
}

// render gives what compose.Render gives for the same files. Of config.yml only drift_ignore
// concerns it here. Faults are not remembered.
func (r *renders) render(node *manifests.Node, set *secrets.Set, options compose.Options) (*compose.Stack, error) {
	key, err := sumFiles(node.FS, len(node.Config.DriftIgnore))
	if err != nil {
		return nil, err
	}
	if known, found := r.recall(key); found {
		return known.withValues(set), nil
	}
	stack, err := compose.Render(node, set, options)
	if err != nil {
		return nil, err
	}
	r.remember(key, stack)
	return stack, nil
}

// recall gives a stack from memory, unless it is time to render it again.
func (r *renders) recall(key [32]byte) (known rendered, found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, found = r.known[key]; found {
		r.taken++
	}
	return known, found && r.taken%renderedAgain != 0
}

// remember keeps a stack. If there is one for the same files, it must be the same: the
// agent must not change a stack that it was given.
func (r *renders) remember(key [32]byte, stack *compose.Stack) {
	text := marshal(stack)
	r.mu.Lock()
	defer r.mu.Unlock()
	known, found := r.known[key]
	if !found {
		if len(r.known) >= mostRenders {
			clear(r.known)
		}
		r.known[key] = rendered{stack, text}
		return
	}
	if now := marshal(known.stack); now != known.text || text != known.text {
		r.wrong = fmt.Sprintf("the same files are rendered to\n%s\nwere rendered to\n%s\nand the agent made of it\n%s", text, known.text, now)
	}
}

// withValues gives a copy of the stack with the values of a set, which is wiped after use.
func (r rendered) withValues(set *secrets.Set) *compose.Stack {
	stack := *r.stack
	stack.Secrets = slices.Clone(stack.Secrets)
	for i := range stack.Secrets {
		stack.Secrets[i].Value, _ = set.Lookup(stack.Secrets[i].Key, "")
	}
	return &stack
}

func marshal(stack *compose.Stack) string {
	text, err := json.Marshal(stack)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// sumFiles gives a digest of the files in a node's folder, and of how many fields are ignored.
func sumFiles(files fs.FS, ignored int) (sum [32]byte, err error) {
	var all strings.Builder
	fmt.Fprintln(&all, ignored)
	err = fs.WalkDir(files, strings.TrimSuffix(nodeDir, "/"), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		fmt.Fprintf(&all, "%s %d\n%s", name, len(content), content)
		return err
	})
	return sha256.Sum256([]byte(all.String())), err
}
