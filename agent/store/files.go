package store

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing/fstest" // the standard library's file system in memory

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
)

// Files gives the files that a good state was made of; nil where they were not recorded.
func (s *Store) Files(good *record.GoodState) (fs.FS, error) {
	if len(good.Files) == 0 {
		return nil, nil
	}
	files := fstest.MapFS{}
	err := viewBucket(s, filesBucket, func(b *bbolt.Bucket) error {
		for name, file := range good.Files {
			if file.Link != "" {
				files[name] = &fstest.MapFile{Data: []byte(file.Link), Mode: fs.ModeSymlink | 0o777}
				continue
			}
			content, err := unzip(b.Get([]byte(file.Sum)))
			if err != nil {
				return fmt.Errorf("read recorded file %s: %w", name, err)
			}
			files[name] = &fstest.MapFile{Data: content}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return files, nil
}

// saveFiles saves contents by their sum, each once.
func saveFiles(tx *bbolt.Tx, contents map[string][]byte) error {
	b, writer := tx.Bucket(filesBucket), gzip.NewWriter(nil)
	for sum, content := range contents {
		if b.Get([]byte(sum)) != nil {
			continue
		}
		zipped, err := zip(writer, content)
		if err != nil {
			return fmt.Errorf("record file: %w", err)
		}
		if err := b.Put([]byte(sum), zipped); err != nil {
			return fmt.Errorf("record file: %w", err)
		}
	}
	return nil
}

// references is as much of a record.GoodState as says which files it has.
type references struct {
	Files map[string]record.File `json:"files"`
	Rules []string               `json:"rules"`
}

// dropFiles drops the contents that no good state of any stack has any more.
func dropFiles(s *Store, tx *bbolt.Tx) error {
	used := map[string]bool{}
	use := func(good references) {
		for _, file := range good.Files {
			used[file.Sum] = true
		}
		for _, sum := range good.Rules {
			used[sum] = true
		}
	}
	stacks := tx.Bucket(stacksBucket)
	err := stacks.ForEachBucket(func(key []byte) error {
		stack, b := s.Stack(record.StackKey(key)), stacks.Bucket(key)
		deployed, _ := find[references](s, b, nameOf(stack, string(goodKey)), goodKey)
		use(deployed)
		for good := range newest[references](stack, b.Bucket(goodBucket), "good state") {
			use(good)
		}
		return nil
	})
	return errors.Join(err, drop(tx.Bucket(filesBucket), func(sum, _ []byte) bool { return !used[string(sum)] }))
}

// zip compresses a content. It reuses the writer, whose tables take a megabyte.
func zip(writer *gzip.Writer, content []byte) ([]byte, error) {
	var zipped bytes.Buffer
	writer.Reset(&zipped)
	_, err := writer.Write(content)
	if err = errors.Join(err, writer.Close()); err != nil {
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
