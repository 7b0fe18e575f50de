package record

import (
	"strings"

	"coin.internal/coin-agent/internal/lazyregexp"
)

// ofOneStack matches the commands in texts for users that are about one stack of a node. Those
// that only show something do that for all stacks, and need no name.
var ofOneStack = lazyregexp.New("`agent (adopt|approve|diff|logs|pause|resume|retry|rollback|sync|secrets gc|secrets list)((?: [^`]*)?)`")

// In gives a text for users with its commands completed by the stack, on a node with several: as
// they stand, they can be pasted. A command that names a stack stays as it is.
func (k StackKey) In(text string) string {
	if k == "" || k == OnlyStack {
		return text
	}
	return ofOneStack().ReplaceAllStringFunc(text, func(command string) string {
		if strings.Contains(command, " --stack ") {
			return command
		}
		return ofOneStack().ReplaceAllString(command, "`agent ${1} --stack "+string(k)+"${2}`")
	})
}

// Named gives faults with the commands of their hints completed by the stack.
func (k StackKey) Named(faults []Fault) []Fault {
	if k == "" || k == OnlyStack {
		return faults
	}
	named := make([]Fault, len(faults))
	for i, one := range faults {
		named[i] = one
		named[i].Hint = k.In(one.Hint)
	}
	return named
}
