package secrets

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"maps"
	"sync"
)

// Memory has those who open the same files in a row share one decryption: each gets a Set of
// its own. It keeps plaintext between Begin and Wipe only. The zero Memory keeps nothing.
type Memory struct {
	mu    sync.Mutex
	files map[[sha256.Size]byte]*Set // each of one file; nil: nothing is kept
}

// Begin has the Memory keep what is decrypted from now on.
func (m *Memory) Begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files == nil {
		m.files = map[[sha256.Size]byte]*Set{}
	}
}

// Wipe zeroes what is kept, and keeps nothing more. The Sets that were given stay.
func (m *Memory) Wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, set := range m.files {
		set.Wipe()
	}
	m.files = nil
}

// Open opens files as the keyring does. Those that it opened since Begin, with the same
// content, are not decrypted again. A nil Memory opens all of them.
func (m *Memory) Open(ring *Keyring, files []File, o Options) (*Set, error) {
	if m == nil {
		return ring.Open(files, o)
	}
	all := newSet(o)
	var faults []error
	for _, file := range files {
		sum := digestOf(file, o)
		if m.add(all, sum) {
			continue
		}
		set, err := ring.Open([]File{file}, o) // unlocked: it may wait for a key service
		if err != nil {
			faults = append(faults, err)
			continue
		}
		all.take(set)
		m.keep(sum, set)
	}
	all.order()
	if err := errors.Join(faults...); err != nil {
		all.Wipe()
		return nil, err
	}
	return all, nil
}

// add adds a copy of what is kept of a file to a set.
func (m *Memory) add(to *Set, sum [sha256.Size]byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	set, kept := m.files[sum]
	if kept {
		to.take(set)
	}
	return kept
}

// keep keeps the Set of a file, or wipes it.
func (m *Memory) keep(sum [sha256.Size]byte, set *Set) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files == nil || m.files[sum] != nil {
		set.Wipe()
		return
	}
	m.files[sum] = set
}

// digestOf gives what the Set of a file depends on, beside the keys.
func digestOf(file File, o Options) [sha256.Size]byte {
	text := []byte(file.Path + "\x00")
	if file.Keyed {
		text = append(text, '=')
	}
	if o.AllowPlaintext {
		text = append(text, '+')
	}
	return sha256.Sum256(append(append(text, 0), file.Data...))
}

// Join gives a Set with copies of what others have, each of one file.
func Join(sets []*Set, o Options) *Set {
	all := newSet(o)
	for _, one := range sets {
		all.take(one)
	}
	all.order()
	return all
}

// take adds copies of what another set has. order must be called after the last one.
func (s *Set) take(other *Set) {
	s.keyed, s.opaque = append(s.keyed, other.keyed...), append(s.opaque, other.opaque...)
	maps.Copy(s.versions, other.versions)
	maps.Copy(s.refused, other.refused)
	maps.Copy(s.references, other.references)
	for at, value := range other.values {
		if value.Known() {
			value = NewValue(bytes.Clone(value.Reveal()))
		}
		s.values[at] = value
	}
}
