package sync

import (
	"github.com/go-git/go-git/v5/storage/memory"

	"coin.internal/coin-agent/internal/limits"
)

// ReadPack reads a pack within limits, and gives what its objects have together.
func ReadPack(pack []byte, bounds limits.Limits) (bytes limits.Bytes, objects int, err error) {
	store, err := readPack(pack, memory.NewStorage(), packBudget{limits: bounds})
	if err != nil {
		return 0, 0, err
	}
	for _, object := range store.Objects {
		bytes += limits.Bytes(object.Size())
	}
	return bytes, len(store.Objects), nil
}

// Known gives the bytes of the folders that are kept for the next fetch.
func (r *Repository) Known() (bytes int) {
	if known := r.src.(*wire).known.Load(); known != nil {
		for _, folder := range known.folders {
			bytes += int(folder.Size())
		}
	}
	return bytes
}
