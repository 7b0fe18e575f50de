package rotate

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"coin.internal/coin-agent/secrets"
)

// remembered is how many commits are searched for versions that were used once.
const remembered = 2000

// past tells the highest number that a version had in any commit that leads to
// HEAD. A rotation that was taken back has lowered it: Swarm may still have a
// secret under the higher one, with other content.
type past struct {
	work *Worktree
	keys *secrets.Keyring
	seen map[plumbing.Hash]uint64 // by blob and variable, of the variable in hand
}

// highest looks through the past of one file; it knows none of a shallow clone's
// older commits, nor of a file that no key opens any more.
func (p *past) highest(file, variable string) (uint64, error) {
	if p == nil || file == "" {
		return 0, nil
	}
	p.seen = map[plumbing.Hash]uint64{}
	commits, err := p.work.Repo.Log(&git.LogOptions{From: p.work.head.Hash()})
	if err != nil {
		return 0, fmt.Errorf("read the history of %s: %w", file, err)
	}
	defer commits.Close()
	var highest uint64
	left := remembered
	err = commits.ForEach(func(commit *object.Commit) error {
		if left--; left < 0 {
			return storer.ErrStop
		}
		found, err := commit.File(p.work.Prefix + file)
		if err != nil {
			return nil //nolint:nilerr // there was no such file then
		}
		highest = max(highest, p.in(found, file, variable))
		return nil
	})
	if err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) && !errors.Is(err, io.EOF) { // where a shallow clone ends
		return 0, fmt.Errorf("read the history of %s: %w", file, err)
	}
	return highest, nil
}

// in reads the version in one state of a file; 0 where it has none.
func (p *past) in(found *object.File, file, variable string) uint64 {
	if number, known := p.seen[found.Hash]; known {
		return number
	}
	var number uint64
	if content, err := found.Contents(); err == nil {
		text := readable(content, variable)
		if text == "" && p.keys != nil && strings.HasSuffix(file, ".enc") {
			text = p.opened(file, content, variable)
		}
		number, _ = strconv.ParseUint(text, 10, 62)
	}
	p.seen[found.Hash] = number
	return number
}

// readable finds a version that stands in plaintext, in any format.
func readable(content, variable string) string {
	short := regexp.QuoteMeta(strings.TrimPrefix(variable, "SV_"))
	set := regexp.MustCompile(`(?m)^\s*(?:export\s+)?"?(?:SV_` + short + `|` + short + `_VERSION)"?\s*[:=]\s*["']?(\d+)["']?\s*(?:[,;#].*)?$`)
	if match := set.FindStringSubmatch(content); match != nil {
		return match[1]
	}
	return ""
}

func (p *past) opened(file, content, variable string) string {
	set, err := p.keys.Open([]secrets.File{{Path: file, Data: []byte(content)}}, secrets.Options{AllowPlaintext: true})
	if err != nil {
		return ""
	}
	defer set.Wipe()
	return set.Versions()[variable]
}
