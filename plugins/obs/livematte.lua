-- Adds the source "livematte overlay" to OBS: pictures of livematte from shared memory, with transparency.
--
-- In OBS: Tools > Scripts > +, select this file. Then: livematte live --to obs --sink-option obs.route=lua
-- shared.py describes the layout of the memory. Tested on Linux with OBS 29.0. The code for Windows and macOS was
-- written from the documentation of these systems and has not been tested.

local obs = obslua
local ffi = require("ffi")

ffi.cdef [[
typedef struct gs_texture gs_texture_t;
gs_texture_t *gs_texture_create(uint32_t width, uint32_t height, int format, uint32_t levels, const uint8_t **data,
                                uint32_t flags);
void gs_texture_set_image(gs_texture_t *texture, const uint8_t *data, uint32_t linesize, bool invert);
void gs_texture_destroy(gs_texture_t *texture);
void obs_source_draw(gs_texture_t *texture, int x, int y, uint32_t cx, uint32_t cy, bool flip);
void obs_enter_graphics(void);
void obs_leave_graphics(void);
uint64_t os_gettime_ns(void);
typedef struct { uint32_t magic, width, height, slots; volatile uint64_t newest, shown; } livematte_header;
]]

local MAGIC, HEADER = 0x4C4D4154, 4096
local BGRA, DYNAMIC, SRGB = 5, 2, 32768 -- GS_BGRA, GS_DYNAMIC, OBS_SOURCE_SRGB
local STALE = 1000000000 -- nanoseconds without a new picture after which livematte has ended (it repeats pictures)
local LOOK = 500000000 -- nanoseconds between two attempts to open the memory
local LARGEST = 16384 -- maximum width and height, in pixels

local function library(names)
  for _, name in ipairs(names) do
    local ok, found = pcall(ffi.load, name)
    if ok then return found end
  end
  return ffi.C -- already loaded by OBS
end

local lib, map, unmap

if ffi.os == "Windows" then
  lib = library({ "obs" })
  ffi.cdef [[
  void *CreateFileA(const char *name, uint32_t access, uint32_t share, void *security, uint32_t how, uint32_t flags,
                    void *template);
  void *CreateFileMappingA(void *file, void *security, uint32_t protect, uint32_t high, uint32_t low,
                           const char *name);
  void *MapViewOfFile(void *mapping, uint32_t access, uint32_t high, uint32_t low, size_t bytes);
  int UnmapViewOfFile(const void *address);
  int GetFileSizeEx(void *file, int64_t *size);
  int CloseHandle(void *handle);
  ]]
  map = function(path)
    -- GENERIC_READ | GENERIC_WRITE; shared for everything; OPEN_EXISTING
    local file = ffi.C.CreateFileA(path, 0xC0000000, 7, nil, 3, 0, nil)
    if ffi.cast("intptr_t", file) == -1 then return end
    local size = ffi.new("int64_t[1]")
    ffi.C.GetFileSizeEx(file, size)
    local mapping = ffi.C.CreateFileMappingA(file, nil, 4, 0, 0, nil) -- PAGE_READWRITE
    ffi.C.CloseHandle(file)
    if mapping == nil then return end
    local address = ffi.C.MapViewOfFile(mapping, 6, 0, 0, 0) -- FILE_MAP_READ | FILE_MAP_WRITE
    ffi.C.CloseHandle(mapping)
    if address == nil then return end
    return address, tonumber(size[0])
  end
  unmap = function(address) ffi.C.UnmapViewOfFile(address) end
else
  lib = library(ffi.os == "OSX" and { "libobs.framework/libobs", "libobs.0.dylib" }
    or { "libobs.so.0", "libobs.so.30", "libobs.so" })
  ffi.cdef [[
  int open(const char *path, int flags, ...);
  int close(int file);
  int64_t lseek(int file, int64_t offset, int whence);
  void *mmap(void *address, size_t length, int protection, int flags, int file, int64_t offset);
  int munmap(void *address, size_t length);
  ]]
  map = function(path)
    local file = ffi.C.open(path, 2) -- O_RDWR
    if file < 0 then return end
    local size = tonumber(ffi.C.lseek(file, 0, 2)) -- SEEK_END
    local address = size >= HEADER and ffi.C.mmap(nil, size, 3, 1, file, 0) or nil -- read and write; MAP_SHARED
    ffi.C.close(file)
    if address == nil or ffi.cast("intptr_t", address) == -1 then return end
    return address, size
  end
  unmap = function(address, size) ffi.C.munmap(address, size) end
end

local function now() return tonumber(lib.os_gettime_ns()) end

local function detach(it)
  if it.address then unmap(it.address, it.size) end
  it.address, it.header = nil, nil
end

local function attach(it)
  if it.path == "" or now() < it.look then return end
  it.look = now() + LOOK
  local address, size = map(it.path)
  if not address then return end
  local header = ffi.cast("livematte_header *", address)
  local w, h, slots = header.width, header.height, header.slots
  if header.magic ~= MAGIC or w < 1 or h < 1 or w > LARGEST or h > LARGEST or slots < 2
    or HEADER + slots * h * w * 4 > size then
    unmap(address, size)
    return
  end
  it.address, it.size, it.header = address, size, header
  it.w, it.h, it.slots = w, h, slots -- copies of the checked values: the header may change later
  it.pictures = ffi.cast("const uint8_t *", address) + HEADER
  -- What is there may be left by a livematte that was killed: draw nothing until the number changes.
  it.last, it.since, it.fresh = tonumber(header.newest), now(), false
end

local function drop_texture(it)
  if it.texture then
    lib.obs_enter_graphics()
    lib.gs_texture_destroy(it.texture)
    lib.obs_leave_graphics()
    it.texture = nil
  end
end

local info = {
  id = "livematte_overlay",
  type = obs.OBS_SOURCE_TYPE_INPUT,
  output_flags = bit.bor(obs.OBS_SOURCE_VIDEO, SRGB),
}

info.get_name = function() return "livematte overlay" end

info.create = function(settings, source)
  local it = { path = "", look = 0, w = 1280, h = 720 }
  info.update(it, settings)
  return it
end

info.update = function(it, settings)
  local path = obs.obs_data_get_string(settings, "path")
  if path ~= it.path then
    detach(it)
    it.path, it.look = path, 0
  end
end

info.destroy = function(it)
  detach(it)
  drop_texture(it)
end

info.get_width = function(it) return it.w end
info.get_height = function(it) return it.h end

info.get_properties = function()
  local properties = obs.obs_properties_create()
  obs.obs_properties_add_text(properties, "path", "Shared memory (livematte fills this in)", obs.OBS_TEXT_DEFAULT)
  return properties
end

info.video_render = function(it, effect)
  if not it.header then attach(it) end
  local header = it.header
  if not header then return end
  if header.magic ~= MAGIC then -- livematte has ended
    detach(it)
    return
  end
  local newest = tonumber(header.newest)
  if newest == 0 then return end
  if newest == it.last then
    if now() - it.since > STALE then
      detach(it) -- livematte was killed, or restarts with new memory
      return
    end
    if not it.fresh then return end
  else
    if it.texture and (it.tw ~= it.w or it.th ~= it.h) then
      lib.gs_texture_destroy(it.texture)
      it.texture = nil
    end
    if not it.texture then
      it.texture = lib.gs_texture_create(it.w, it.h, BGRA, 1, nil, DYNAMIC)
      it.tw, it.th = it.w, it.h
    end
    lib.gs_texture_set_image(it.texture, it.pictures + (newest % it.slots) * it.h * it.w * 4, it.w * 4, false)
    -- If the picture was overwritten during the copy, the next render copies a new one.
    it.last = tonumber(header.newest) - newest < it.slots - 1 and newest or -1
    it.since, it.fresh = now(), true
    header.shown = header.shown + 1
  end
  lib.obs_source_draw(it.texture, 0, 0, it.w, it.h, false)
end

obs.obs_register_source(info)

function script_description()
  return "Adds the source \"livematte overlay\": people without their background, from livematte.\n"
    .. "Start livematte with: livematte live --to obs --sink-option obs.route=lua"
end
