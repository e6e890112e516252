package shadow
