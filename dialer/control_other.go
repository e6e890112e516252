//go:build !linux

package dialer

import "errors"

func setUserTimeout(_, _ int) error { return errors.ErrUnsupported }

func setMark(int, uint32) error { return errors.ErrUnsupported }

func bindToDevice(int, string) error { return errors.ErrUnsupported }

func setCongestionControl(int, string) error { return errors.ErrUnsupported }
