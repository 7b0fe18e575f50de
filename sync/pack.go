package sync

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/memory"

	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

// store reads a pack into a store, within the limits. The pack is measured before any of its
// objects is built: go-git builds all of them, however large they are.
func (w *wire) store(ctx context.Context, from io.Reader, into *memory.Storage) error {
	bounds := w.remote.Limits
	pack, err := bounded.ReadAll(from, bounds.FetchBytes)
	if errors.Is(err, bounded.ErrTooLong) {
		return limits.Over(fault.Place{}, "fetch_bytes", "the pack has", bounds.FetchBytes)
	}
	if err != nil {
		return err
	}
	budget := packBudget{limits: bounds, objects: len(into.Objects)}
	for _, object := range into.Objects {
		budget.bytes += limits.Bytes(object.Size())
	}
	// The new objects come into a store of their own, which is dropped if ctx ends before.
	folders := storageOf(into.Trees)
	unpacked, err := apart.Do(ctx, func() (*memory.Storage, error) { return readPack(pack, folders, budget) }, nil)
	if err != nil {
		return err
	}
	for _, object := range unpacked.Objects {
		if _, err := into.SetEncodedObject(object); err != nil {
			return err
		}
	}
	return nil
}

// readPack adds the objects of a pack that stays within a budget to a store, which may have the
// objects that deltas of the pack build on.
func readPack(pack []byte, store *memory.Storage, budget packBudget) (*memory.Storage, error) {
	if len(pack) == 0 { // the store already has all objects
		return store, nil
	}
	if err := budget.take(pack); err != nil {
		return nil, err
	}
	// Only the Reader: go-git reads a stream once, but seeks in a file for each delta.
	return store, packfile.UpdateObjectStorage(store, struct{ io.Reader }{bytes.NewReader(pack)})
}

// packBudget is what the objects of a revision have together.
type packBudget struct {
	limits  limits.Limits
	bytes   limits.Bytes
	objects int
}

// take adds what the objects of a pack have. It inflates each, and keeps none.
func (b *packBudget) take(pack []byte) error {
	scanner := packfile.NewScanner(bytes.NewReader(pack))
	_, count, err := scanner.Header()
	if err != nil {
		return err
	}
	if err := limits.Within(fault.Place{}, "objects", "the number of git objects is", int64(b.objects)+int64(count), int64(b.limits.Objects)); err != nil {
		return err
	}
	for range count {
		header, err := scanner.NextObjectHeader()
		if err != nil {
			return err
		}
		if err := b.add(header.Length); err != nil { // go-git inflates no more than that
			return err
		}
		var start beginning
		if _, _, err := scanner.NextObject(&start); err != nil {
			return err
		}
		if header.Type.IsDelta() {
			if err := b.add(start.target()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *packBudget) add(length int64) error {
	if length < 0 || limits.Bytes(length) > b.limits.FetchBytes-b.bytes {
		return limits.Over(fault.Place{}, "fetch_bytes", "the decompressed git objects have", b.limits.FetchBytes)
	}
	b.bytes += limits.Bytes(length)
	return nil
}

// beginning keeps the first bytes of an object.
type beginning struct {
	kept [20]byte // two numbers of 64 bits
	n    int
}

func (s *beginning) Write(p []byte) (int, error) {
	s.n += copy(s.kept[s.n:], p)
	return len(p), nil
}

// target gives the size of the object that a delta makes, which is the second number of the
// delta, or -1. go-git makes no more than that.
func (s *beginning) target() int64 {
	var number int64
	shift, index := 0, 0
	for _, one := range s.kept[:s.n] {
		if shift > 56 {
			return -1
		}
		number |= int64(one&0x7f) << shift
		shift += 7
		if one&0x80 != 0 {
			continue
		}
		if index++; index == 2 {
			return number
		}
		number, shift = 0, 0
	}
	return -1
}
