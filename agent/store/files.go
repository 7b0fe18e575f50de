package store

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
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
			content, err := unzip(recordAt(b, []byte(file.Sum)))
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

// saveFiles saves contents by their sum, each once. It compresses fast: the tables of the default
// take a megabyte, which each file clears, and most files have a few kilobytes.
func saveFiles(tx *bbolt.Tx, contents map[string][]byte) error {
	b := tx.Bucket(filesBucket)
	writer, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		return fmt.Errorf("record file: %w", err)
	}
	for sum, content := range contents {
		if recordAt(b, []byte(sum)) != nil {
			continue
		}
		zipped, err := zip(writer, content)
		if err != nil {
			return fmt.Errorf("record file: %w", err)
		}
		if err := putRecord(b, []byte(sum), zipped); err != nil {
			return fmt.Errorf("record file: %w", err)
		}
	}
	return nil
}

// dropFiles drops the contents that no good state of any stack has any more. It does not decode
// the states, which are mostly specs: each run of digits that can be a sum counts as one.
func dropFiles(tx *bbolt.Tx) error {
	used := map[string]bool{}
	use := func(record []byte) {
		for _, part := range naming(record) {
			for sum := range sumsIn(part) {
				used[string(sum)] = true
			}
		}
	}
	stacks := tx.Bucket(stacksBucket)
	err := stacks.ForEachBucket(func(key []byte) error {
		b := stacks.Bucket(key)
		use(recordAt(b, goodKey))
		good := b.Bucket(goodBucket)
		return good.ForEach(func(key, value []byte) error {
			use(contentOf(good, key, value))
			return nil
		})
	})
	return errors.Join(err, drop(tx.Bucket(filesBucket), func(sum, _ []byte) bool { return !used[string(sum)] }))
}

// naming gives the parts of a good state's record that name contents: what comes before the services,
// and the files. The services, which may be hundreds of kilobytes, are not read.
func naming(record []byte) [][]byte {
	head, rest, cut := cutGood(record)
	if !cut {
		return [][]byte{record}
	}
	return [][]byte{head, filesIn(rest)}
}

// filesIn gives the end of a record, which has the files: they come last. Without files it gives more.
func filesIn(record []byte) []byte {
	mark := []byte(`,"files":{`)
	for end := len(record); ; {
		at := bytes.LastIndex(record[:end], mark)
		if at < 0 {
			return record
		}
		if hasObject(record[at+len(mark):]) {
			return record[at:]
		}
		end = at // it is the file with that name
	}
}

// hasObject reports whether the first value of a JSON object is an object, as it is in a mapping of files
// and is not in a file. It gets what follows the object's brace.
func hasObject(fields []byte) bool {
	if len(fields) == 0 || fields[0] != '"' {
		return false
	}
	for i := 1; i < len(fields); i++ {
		switch fields[i] {
		case '\\':
			i++
		case '"':
			return bytes.HasPrefix(fields[i:], []byte(`":{`))
		}
	}
	return false
}

// sumDigits is the length of a sum: SHA-256 in hexadecimal digits.
const sumDigits = 2 * sha256.Size

// sumsIn gives each run of hexadecimal digits of a record that has the length of a sum. It looks
// at one byte in so many, which meets each such run once. It does not follow longer runs.
func sumsIn(record []byte) iter.Seq[[]byte] {
	digit := func(at int) bool {
		c := record[at]
		return '0' <= c && c <= '9' || 'a' <= c && c <= 'f'
	}
	return func(yield func([]byte) bool) {
		for at := sumDigits - 1; at < len(record); at += sumDigits {
			if !digit(at) {
				continue
			}
			from, to := at, at+1
			for from > 0 && at-from < sumDigits && digit(from-1) {
				from--
			}
			for to < len(record) && to-at < sumDigits && digit(to) {
				to++
			}
			if to-from == sumDigits && !yield(record[from:to]) {
				return
			}
		}
	}
}

// zip compresses a content. It reuses the writer with its tables.
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
