package adapter

import (
	"net/http"
	"reflect"
	"unsafe"
)

// fields is what the exported fields of an *http.Transport hold, as bytes:
// function values and maps cannot be compared any other way. Two are equal where
// no field was assigned to in between; what lies behind a pointer is not looked
// at.
func fields(t *http.Transport) string {
	var b []byte
	for v, i := reflect.ValueOf(t).Elem(), 0; i < v.NumField(); i++ {
		if f := v.Field(i); f.CanSet() { // it is exported
			b = append(b, unsafe.Slice((*byte)(f.Addr().UnsafePointer()), f.Type().Size())...)
		}
	}
	return string(b)
}
