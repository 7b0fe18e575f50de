package stackfiles

import (
	"errors"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/visible"
)

// Flags are the flags of deployment.sh that name files. Relative paths start at Options.Dir.
type Flags struct {
	Node    string   // -n: <Node>.env is read first if it exists
	Stack   string   // -w
	Nodes   []string // -N, in order; a later file overrides an earlier one
	Project []string // -P, in order
	Compose []string // -f, in merge order
	Secrets string   // -s: versions of secrets, which override everything; plain, or encrypted with SOPS
	Update  bool     // -u: the digests of all images are asked for anew
}

var stackName = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$`)

// ValidateStack refuses a name that cannot be that of a stack.
func (f *Flags) ValidateStack() error {
	if f.Stack == "" || stackName().MatchString(f.Stack) {
		return nil
	}
	return fault.New(fault.Place{}, "write letters, digits, '_' and '-', such as -w sbxapp3", "-w: %q is not a valid stack name", visible.Line(f.Stack))
}

// Validate refuses flags that cannot be used, with all reasons.
func (f *Flags) Validate() error {
	var faults []error
	add := func(hint, format string, args ...any) {
		faults = append(faults, fault.New(fault.Place{}, hint, format, args...))
	}
	if len(f.Compose) == 0 {
		add("name each with -f, such as -f docker-compose.yml", "no compose file is named")
	}
	faults = append(faults, f.ValidateStack())
	if strings.ContainsAny(f.Node, "/\x00") {
		add("write the name of a Docker context", "-n: %q is not a valid name of a context", visible.Line(f.Node))
	}
	for _, one := range []struct {
		flag  string
		names []string
	}{{"-N", f.Nodes}, {"-P", f.Project}, {"-f", f.Compose}} {
		for _, name := range one.names {
			if name == "" || strings.ContainsRune(name, 0) {
				add("write the path of a file", "%s: %q is not a path", one.flag, visible.Line(name))
			}
		}
	}
	return errors.Join(faults...)
}
