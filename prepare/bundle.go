package prepare

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/visible"
)

// How large a bundle may be. Only the wanted files are kept.
const (
	maxBundle  = 128 << 20 // unpacked
	maxPrinted = 192 << 20 // as base64
	maxEntries = 20_000
	maxFile    = 2 << 20 // a wanted file
)

// Bundle has the wanted files of a release by their paths in it, without the top folder.
type Bundle map[string][]byte

// Source writes a bundle: a tar.gz, which may be in base64.
type Source func(ctx context.Context, into io.Writer) error

// FromFile reads the bundle from a file.
func FromFile(name string) Source {
	return func(_ context.Context, into io.Writer) error {
		file, err := os.Open(name)
		if err != nil {
			return fault.WithHint(fmt.Errorf("open the bundle: %w", err), "name the file that has what the release's image prints for the argument release")
		}
		defer file.Close() //nolint:errcheck // only read from
		_, err = io.Copy(into, file)
		return err
	}
}

// errRead ends a source once the bundle is refused.
var errRead = errors.New("the bundle is not read further")

// open reads a bundle from its source.
func (s Source) open(ctx context.Context, wanted func(name string) bool) (Bundle, error) {
	in, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := s(ctx, out)
		_ = out.CloseWithError(err)
		ended <- err
	}()
	bundle, err := ReadBundle(in, wanted)
	_ = in.CloseWithError(errRead)
	if failed := <-ended; failed != nil && !errors.Is(failed, errRead) {
		return nil, failed
	}
	return bundle, err
}

// ReadBundle reads a bundle and keeps the wanted files. It refuses one with a path that leaves
// its folder, with anything but files and folders, with a file twice, and one that is too large
// or not complete.
func ReadBundle(from io.Reader, wanted func(name string) bool) (Bundle, error) {
	unpacked, err := unpack(from)
	if err != nil {
		return nil, err
	}
	r := reading{files: map[string][]byte{}, seen: map[string]bool{}, wanted: wanted}
	archive := tar.NewReader(unpacked)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, broken(err)
		}
		if err := r.entry(header, archive); err != nil {
			return nil, err
		}
	}
	if _, err := io.Copy(io.Discard, unpacked); err != nil { // to its checksum
		return nil, broken(err)
	}
	return r.bundle(), nil
}

// unpack gives the archive of a bundle, which ends with an error if it is too large.
func unpack(from io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(bounded.NewBudget(maxPrinted, errTooLarge).Reader(from))
	start, err := buffered.Peek(2)
	if err != nil {
		return nil, broken(err)
	}
	var packed io.Reader = buffered
	if start[0] != 0x1f || start[1] != 0x8b {
		packed = base64.NewDecoder(base64.StdEncoding, buffered)
	}
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		return nil, broken(err)
	}
	return bounded.NewBudget(maxBundle, errTooLarge).Reader(unpacked), nil
}

var errTooLarge = errors.New("it is too large")

func broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fault.New(fault.Place{}, "check that it is what the release's image prints for the argument release: docker run --rm IMAGE release",
		"the bundle is not a tar.gz in base64: %w", err)
}

// reading is a bundle that is read.
type reading struct {
	files   map[string][]byte
	seen    map[string]bool
	top     string // the folder of all entries
	several bool   // there is no such folder
	entries int
	wanted  func(name string) bool
}

func (r *reading) entry(header *tar.Header, content io.Reader) error {
	r.entries++
	name := strings.TrimSuffix(strings.TrimPrefix(header.Name, "./"), "/")
	shown := visible.Line(header.Name)
	switch {
	case r.entries > maxEntries:
		return refused("it has more than %d entries", maxEntries)
	case header.Typeflag == tar.TypeXGlobalHeader, header.Typeflag == tar.TypeDir && (name == "" || name == "."):
		return nil
	case !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\\x00"):
		return refused("the path %q leaves its folder, or is not a plain path", shown)
	case header.Typeflag != tar.TypeReg && header.Typeflag != tar.TypeDir:
		return refused("%s is neither a file nor a folder", shown)
	}
	top, rest, below := strings.Cut(name, "/")
	if r.top != "" && r.top != top || !below && header.Typeflag == tar.TypeReg {
		r.several = true
	}
	r.top = top
	if header.Typeflag == tar.TypeDir {
		return nil
	}
	if r.seen[name] {
		return refused("it has %s twice", shown)
	}
	r.seen[name] = true
	if !r.wanted(name) && !r.wanted(rest) {
		return nil
	}
	if header.Size > maxFile {
		return refused("%s has more than %d bytes", shown, maxFile)
	}
	read, err := io.ReadAll(content)
	if err != nil {
		return broken(err)
	}
	r.files[name] = read
	return nil
}

// bundle gives the wanted files without the top folder.
func (r *reading) bundle() Bundle {
	bundle := Bundle{}
	for name, content := range r.files {
		if !r.several {
			name = strings.TrimPrefix(name, r.top+"/")
		}
		if r.wanted(name) {
			bundle[name] = content
		}
	}
	return bundle
}

func refused(format string, args ...any) error {
	return fault.New(fault.Place{}, "do not deploy this release before it is clear who made the bundle", "the bundle is refused: %s", fmt.Sprintf(format, args...))
}
