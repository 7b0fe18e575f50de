package sync

import "coin.internal/coin-agent/internal/limits"

// ReadPack reads a pack within limits, and gives what its objects have together.
func ReadPack(pack []byte, bounds limits.Limits) (bytes limits.Bytes, objects int, err error) {
	store, err := readPack(pack, packBudget{limits: bounds})
	if err != nil {
		return 0, 0, err
	}
	for _, object := range store.Objects {
		bytes += limits.Bytes(object.Size())
	}
	return bytes, len(store.Objects), nil
}
