package store

import (
	"os"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// smallFile is the size of a state file whose pages may stay in memory.
const smallFile = 1 << 20

// Unload gives the pages of the state file back that were read, which count as memory of the
// process. The kernel has them in its cache, from which they are read again: of a small file, to
// read them again costs more than to keep them.
func (s *Store) Unload() {
	// While a transaction is open, the file stays mapped where it is. A failure leaves the pages
	// in memory.
	_ = s.db.View(func(tx *bbolt.Tx) error {
		if tx.Size() < smallFile {
			return nil
		}
		size := uintptr(tx.Size()) &^ uintptr(os.Getpagesize()-1)
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, s.db.Info().Data, size, unix.MADV_DONTNEED)
		return nil
	})
}
