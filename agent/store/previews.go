package store

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/preview"
	"coin.internal/coin-agent/agent/record"
)

// Previews is the part of the state file that the plans of merge requests of one stack need.
// An agent that does not know this part leaves it alone.
type Previews struct {
	store *Store
	stack record.StackKey
}

var _ preview.Store = Previews{}

// Previews gives that part for a stack.
func (s *Store) Previews(stack record.StackKey) Previews { return Previews{s, stack} }

var (
	previewsBucket = []byte("previews") // a bucket for each stack
	markKey        = []byte("mark")
	shownPrefix    = "shown "
	textPrefix     = "text "
)

func previewKey(prefix string, number int64) []byte { return fmt.Appendf(nil, "%s%d", prefix, number) }

// Previews lists what is shown, without the texts.
func (p Previews) Previews() (book preview.Book, err error) {
	err = p.view(func(b *bbolt.Bucket) {
		book.Mark, _ = find[preview.Mark](p.store, b, "mark of the previews", markKey)
		cursor := b.Cursor()
		for key, value := cursor.Seek([]byte(shownPrefix)); key != nil && len(key) > len(shownPrefix) && string(key[:len(shownPrefix)]) == shownPrefix; key, value = cursor.Next() {
			var one preview.Shown
			data := contentOf(b, key, value)
			if decodeRecord(p.store, func() string { return "preview of " + string(key) }, data, &one) {
				book.Shown = append(book.Shown, one)
			}
		}
	})
	return book, err
}

// PreviewBooks lists what is shown of each stack, without the texts.
func PreviewBooks(s *Store) (books []preview.Book, err error) {
	var keys []record.StackKey
	err = viewBucket(s, previewsBucket, func(all *bbolt.Bucket) error {
		return all.ForEachBucket(func(name []byte) error {
			keys = append(keys, record.StackKey(name))
			return nil
		})
	})
	for _, key := range keys {
		book, bookErr := s.Previews(key).Previews()
		books, err = append(books, book), errors.Join(err, bookErr)
	}
	return books, err
}

// SavePreview writes what is shown on a merge request, and its text unless that is nil.
func (p Previews) SavePreview(shown preview.Shown, text *preview.Text) error {
	return p.update(func(b *bbolt.Bucket) error {
		if text != nil {
			if err := putJSON(b, previewKey(textPrefix, shown.Number), text); err != nil {
				return err
			}
		}
		return putJSON(b, previewKey(shownPrefix, shown.Number), shown)
	})
}

// DropPreview removes what is on record of a merge request.
func (p Previews) DropPreview(number int64) error {
	return p.update(func(b *bbolt.Bucket) error {
		if err := deleteRecord(b, previewKey(textPrefix, number)); err != nil {
			return err
		}
		return deleteRecord(b, previewKey(shownPrefix, number))
	})
}

// PreviewText gives the text of a merge request; an empty one if there is none.
func (p Previews) PreviewText(number int64) (text preview.Text, err error) {
	err = p.view(func(b *bbolt.Bucket) {
		text, _ = find[preview.Text](p.store, b, fmt.Sprintf("text of preview %d", number), previewKey(textPrefix, number))
	})
	return text, err
}

// SavePreviewMark writes where the work is.
func (p Previews) SavePreviewMark(mark preview.Mark) error {
	return p.update(func(b *bbolt.Bucket) error { return putJSON(b, markKey, mark) })
}

func (p Previews) view(read func(*bbolt.Bucket)) error {
	return viewBucket(p.store, previewsBucket, func(all *bbolt.Bucket) error {
		if b := all.Bucket([]byte(p.stack)); b != nil {
			read(b)
		}
		return nil
	})
}

func (p Previews) update(change func(*bbolt.Bucket) error) error {
	return inTransaction(p.store, func(tx *bbolt.Tx) error {
		all, err := tx.CreateBucketIfNotExists(previewsBucket)
		if err != nil {
			return fmt.Errorf("make bucket: %w", err)
		}
		b, err := all.CreateBucketIfNotExists([]byte(p.stack))
		if err != nil {
			return fmt.Errorf("make bucket: %w", err)
		}
		return change(b)
	})
}
