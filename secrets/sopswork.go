package secrets

import (
	"errors"
	"fmt"
	"regexp/syntax"

	"github.com/getsops/sops/v3"

	"coin.internal/coin-agent/internal/fault"
)

const (
	// maxRule is the maximum length of a regular expression in the metadata of a SOPS file.
	maxRule = 1000
	// maxSteps bounds what it takes to find out which values of a SOPS file are encrypted: some seconds.
	maxSteps = 200_000_000
	// perText is what the compilation of a rule costs for each of its instructions, in steps, and
	// perRule how many instructions are added to each: a step takes 10 to 20 ns.
	perText, perRule = 16, 8
)

// bounded refuses a file for which SOPS would work for long. It compiles the regular expressions of
// the file's metadata for each part of a value's path, and for each comment above the value, and
// authenticates the path with each value.
func (d *document) bounded() error {
	of := d.tree.Metadata
	work := &work{keys: 1}
	for _, rule := range []struct {
		name, text string
		size       *int
	}{
		{"encrypted_regex", of.EncryptedRegex, &work.keys},
		{"unencrypted_regex", of.UnencryptedRegex, &work.keys},
		{"encrypted_comment_regex", of.EncryptedCommentRegex, &work.comments},
		{"unencrypted_comment_regex", of.UnencryptedCommentRegex, &work.comments},
	} {
		size, err := sizeOf(rule.text)
		if err != nil {
			return fault.New(fault.Place{File: d.path}, "name the keys in .sops.yaml in another way, and encrypt it again", "%s of the file %w", rule.name, err)
		}
		*rule.size += size
	}
	for _, branch := range d.tree.Branches {
		work.branch(branch, 0, 0)
	}
	if work.steps > maxSteps {
		return fault.New(fault.Place{File: d.path}, "split the file, or use a simpler rule in .sops.yaml",
			"to find out which values are encrypted takes more than %d steps: the values, times their keys and comments, times the rules", maxSteps)
	}
	return nil
}

var (
	errRuleSize = fmt.Errorf("has more than %d bytes", maxRule)
	errRule     = errors.New("is not a regular expression") // the library's words quote the file
)

// sizeOf gives the steps that a regular expression takes for a byte; 0 for none.
func sizeOf(rule string) (int, error) {
	if rule == "" {
		return 0, nil
	}
	if len(rule) > maxRule {
		return 0, errRuleSize
	}
	parsed, err := syntax.Parse(rule, syntax.Perl)
	if err != nil {
		return 0, errRule
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, errRule
	}
	return perRule + len(program.Inst), nil
}

// work counts the steps for a file.
type work struct {
	keys, comments int // of each byte of a key and of a comment
	steps          int
}

// branch counts the values of a mapping. path and above are the sizes of the keys and of the comments that
// hold for all of them.
func (w *work) branch(in sops.TreeBranch, path, above int) {
	here := 0
	for _, item := range in {
		if comment, ok := item.Key.(sops.Comment); ok {
			here += textSize(comment.Value)
			w.leaf(path, above+here)
			continue
		}
		if comment, ok := item.Value.(sops.Comment); ok {
			here += textSize(comment.Value)
		}
		key, _ := item.Key.(string)
		w.value(item.Value, path+textSize(key), above+here)
		if _, ok := item.Value.(sops.Comment); !ok {
			here = 0
		}
		if w.steps > maxSteps {
			return
		}
	}
}

// value counts a value, or all of a list.
func (w *work) value(value any, path, above int) {
	switch value := value.(type) {
	case sops.TreeBranch:
		w.branch(value, path, above)
	case []any:
		here := 0
		for _, one := range value {
			comment, ok := one.(sops.Comment)
			if ok {
				here += textSize(comment.Value)
			}
			w.value(one, path, above+here)
			if !ok {
				here = 0
			}
			if w.steps > maxSteps {
				return
			}
		}
	default:
		w.leaf(path, above)
	}
}

func (w *work) leaf(path, comments int) { w.steps += path*w.keys + comments*w.comments }

// textSize is the size of a text to which a rule is applied.
func textSize(text string) int { return perText + len(text) }
