package state

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/internal/memfs"
)

// File is a file that a good state was made of. Equal contents are stored once,
// as long as a state has them.
type File struct {
	Sum  string `json:"sum,omitempty"`  // of its content
	Link string `json:"link,omitempty"` // where a symbolic link leads
}

// Keep adds a file to those of the state.
func (a *Applied) Keep(name string, content []byte) {
	if a.Contents == nil {
		a.Contents = map[string][]byte{}
	}
	sum := sha256.Sum256(content)
	file := File{Sum: hex.EncodeToString(sum[:])}
	a.Contents[file.Sum] = content
	a.keep(name, file)
}

// KeepLink adds a symbolic link.
func (a *Applied) KeepLink(name, to string) { a.keep(name, File{Link: to}) }

func (a *Applied) keep(name string, file File) {
	if a.Files == nil {
		a.Files = map[string]File{}
	}
	a.Files[name] = file
}

// Files gives the files that a state was made of; nil where they were not
// recorded.
func (s *Store) Files(applied *Applied) (fs.FS, error) {
	if len(applied.Files) == 0 {
		return nil, nil
	}
	files := map[string]memfs.File{}
	err := s.view(filesBucket, func(b *bbolt.Bucket) error {
		for name, file := range applied.Files {
			if file.Link != "" {
				files[name] = memfs.File{Link: file.Link}
				continue
			}
			content, err := unzip(b.Get([]byte(file.Sum)))
			if err != nil {
				return fmt.Errorf("read recorded file %s: %w", name, err)
			}
			files[name] = memfs.File{Data: content}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return memfs.New(files), nil
}

func saveFiles(tx *bbolt.Tx, contents map[string][]byte) error {
	b := tx.Bucket(filesBucket)
	for sum, content := range contents {
		if b.Get([]byte(sum)) != nil {
			continue
		}
		zipped, err := zip(content)
		if err != nil {
			return fmt.Errorf("record file: %w", err)
		}
		if err := b.Put([]byte(sum), zipped); err != nil {
			return fmt.Errorf("record file: %w", err)
		}
	}
	return nil
}

// dropFiles drops the contents that no state has any more.
func dropFiles(tx *bbolt.Tx) error {
	used := map[string]bool{}
	use := func(data []byte) error {
		var applied Applied
		if err := json.Unmarshal(data, &applied); err != nil {
			return fmt.Errorf("read good state: %w", err)
		}
		for _, file := range applied.Files {
			used[file.Sum] = true
		}
		return nil
	}
	if data := tx.Bucket(metaBucket).Get(appliedKey); data != nil {
		if err := use(data); err != nil {
			return err
		}
	}
	if err := tx.Bucket(goodBucket).ForEach(func(_, data []byte) error { return use(data) }); err != nil {
		return err
	}
	b := tx.Bucket(filesBucket)
	var unused [][]byte
	err := b.ForEach(func(sum, _ []byte) error {
		if !used[string(sum)] {
			unused = append(unused, bytes.Clone(sum))
		}
		return nil
	})
	for _, sum := range unused {
		if err := b.Delete(sum); err != nil {
			return fmt.Errorf("drop recorded file: %w", err)
		}
	}
	return err
}

func zip(content []byte) ([]byte, error) {
	var zipped bytes.Buffer
	writer := gzip.NewWriter(&zipped)
	if _, err := writer.Write(content); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return zipped.Bytes(), nil
}

func unzip(zipped []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}
