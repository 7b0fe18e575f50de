package store

import (
	"os"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// Unload gives the pages of the state file back that were read, which count as memory of the
// process. The kernel has them in its cache, from which they are read again.
func (s *Store) Unload() {
	// While a transaction is open, the file stays mapped where it is. A failure leaves the pages
	// in memory.
	_ = s.db.View(func(tx *bbolt.Tx) error {
		size := uintptr(tx.Size()) &^ uintptr(os.Getpagesize()-1)
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, s.db.Info().Data, size, unix.MADV_DONTNEED)
		return nil
	})
}
