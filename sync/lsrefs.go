package sync

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

// version is the version of git's protocol that is asked for. Version 2 lists only the refs that
// begin with what the client names, so that a list does not grow with the refs that no rule
// follows. A server that does not speak it, or a proxy that drops the request for it, answers in the
// older one, with all refs.
type version string

const (
	version0 version = ""          // that a server speaks unless it is asked for another one
	version2 version = "version=2" // for lists of refs

	versionHeader   = "Git-Protocol" // over HTTP
	versionVariable = "GIT_PROTOCOL" // over ssh

	versionLine = "version 2\n"
	serviceLine = "# service=" + uploadPack + "\n" // over HTTP, before either
	pktSize     = 4                                // of a packet's length
	flush       = "0000"
	delimiter   = "0001"
)

// list requests the refs that begin with one of the prefixes. A server that spoke version 2 before
// is asked at once, in one request.
func (w *wire) list(ctx context.Context, prefixes []string) (found map[string]plumbing.Hash, err error) {
	err = w.talk(ctx, "list refs of", version2, func(ctx context.Context, with session) error {
		if w.stateless && w.second.Load() {
			found, err = w.lsRefs(ctx, with, prefixes)
			if err != nil {
				w.second.Store(false) // the next list asks which version there is
			}
			return err
		}
		greeting, err := with.refs(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = greeting.Close() }() // only read from
		from := bufio.NewReader(w.bounded(greeting))
		if !speaksVersion2(from) {
			refs, err := w.decode(from, with)
			if err == nil {
				found = refs.References
			}
			return err
		}
		if err := checkCapabilities(from); err != nil {
			return with.failed(err)
		}
		found, err = w.lsRefs(ctx, with, prefixes)
		w.second.Store(err == nil)
		return err
	})
	return found, err
}

// bounded limits an answer with refs.
func (w *wire) bounded(from io.Reader) io.Reader {
	most := w.remote.Limits.RefsBytes
	return bounded.NewBudget(most, limits.Over(fault.Place{}, "refs_bytes", "the list of the refs has", most)).Reader(from)
}

// speaksVersion2 reports whether a greeting is one of version 2. It takes nothing from the
// greeting, and waits for no more than the greeting has at least.
func speaksVersion2(greeting *bufio.Reader) bool {
	at, service := 0, packet(serviceLine)
	if peeks(greeting, 0, service) && peeks(greeting, len(service), flush) {
		at = len(service) + pktSize
	}
	return peeks(greeting, at, packet(versionLine))
}

func packet(line string) string { return fmt.Sprintf("%04x%s", pktSize+len(line), line) }

// peeks reports whether the reader has a packet at a place ahead of it.
func peeks(from *bufio.Reader, at int, packet string) bool {
	if ahead, err := from.Peek(at + pktSize); err != nil || string(ahead[at:]) != packet[:pktSize] {
		return false // the rest may never come
	}
	ahead, err := from.Peek(at + len(packet))
	return err == nil && string(ahead[at:]) == packet
}

// checkCapabilities reads what the server offers, up to the end of its greeting.
func checkCapabilities(greeting io.Reader) error {
	lines, lists, begun := pktline.NewScanner(greeting), false, false
	for lines.Scan() {
		name, value, _ := strings.Cut(strings.TrimSpace(string(lines.Bytes())), "=")
		switch {
		case name == strings.TrimSpace(versionLine):
			begun = true
		case name == "" && begun: // a flush
			if !lists {
				return errors.New("the remote does not list refs")
			}
			return nil
		case name == "ls-refs":
			lists = true
		case name == "object-format" && value != "sha1":
			return fmt.Errorf("the repository has %s objects, which are not supported", oneLine(value))
		}
	}
	return errorOr(lines.Err(), io.ErrUnexpectedEOF)
}

func errorOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// lsRefs lists refs by the command of version 2.
func (w *wire) lsRefs(ctx context.Context, with session, prefixes []string) (map[string]plumbing.Hash, error) {
	var request bytes.Buffer
	command := pktline.NewEncoder(&request)
	err := command.EncodeString("command=ls-refs\n")
	request.WriteString(delimiter)
	for _, prefix := range prefixes {
		err = errors.Join(err, command.EncodeString("ref-prefix "+prefix+"\n"))
	}
	if err := errors.Join(err, command.Flush()); err != nil {
		return nil, err
	}
	answer, err := with.pack(ctx, &request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Close() }() // only read from
	found := map[string]plumbing.Hash{}
	for lines := pktline.NewScanner(w.bounded(answer)); ; {
		if !lines.Scan() {
			return nil, with.failed(errorOr(lines.Err(), io.ErrUnexpectedEOF))
		}
		line := strings.TrimSuffix(string(lines.Bytes()), "\n")
		if line == "" { // a flush ends the list
			return found, nil
		}
		hash, rest, _ := strings.Cut(line, " ")
		name, _, _ := strings.Cut(rest, " ") // attributes follow
		if !plumbing.IsHash(hash) || name == "" {
			return nil, fmt.Errorf("the remote lists %q, which is not a ref", oneLine(line))
		}
		if hasPrefix(name, prefixes) { // the server may list more
			found[name] = plumbing.NewHash(hash)
		}
	}
}

func hasPrefix(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// literal gives what all names begin with that a regular expression matches, as far as it says so.
func literal(pattern string) string {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || parsed.Op != syntax.OpConcat || len(parsed.Sub) < 2 {
		return ""
	}
	begin, text := parsed.Sub[0], parsed.Sub[1]
	if begin.Op != syntax.OpBeginText || text.Op != syntax.OpLiteral || text.Flags&syntax.FoldCase != 0 {
		return ""
	}
	return string(text.Rune)
}

// firstRef gives the greeting up to its first ref, which has the capabilities, as a whole greeting.
func firstRef(greeting io.Reader) (io.Reader, error) {
	var first bytes.Buffer
	out := pktline.NewEncoder(&first)
	lines := pktline.NewScanner(greeting)
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 && first.Len() == 0 { // a repository without refs
			break
		}
		if len(line) == 0 {
			_ = out.Flush() // after the service
			continue
		}
		if err := out.Encode(line); err != nil {
			return nil, err
		}
		if bytes.IndexByte(line, 0) >= 0 {
			break
		}
	}
	_ = out.Flush() // into memory
	return &first, lines.Err()
}
